export { systemServiceTable } from './service-table.js';
export { type SystemService, SystemServices } from './system-services.js';
export { deadlineOf } from './timeouts.js';
