import { ntStatus } from '../../image/index.js';
import { defineFileServices } from './files.js';
import { defineInformationServices } from './information.js';
import { defineMemoryServices } from './memory.js';
import { defineProcessServices } from './processes.js';
import { defineSectionServices } from './sections.js';
import { SystemServices } from './system-services.js';

/** The table of a booted kernel. NtManageHotPatch answers STATUS_NOT_SUPPORTED until the hotpatch engine defines it. */
export function systemServiceTable(): SystemServices {
  const services = new SystemServices();
  defineMemoryServices(services);
  defineSectionServices(services);
  defineProcessServices(services);
  defineFileServices(services);
  defineInformationServices(services);
  services.define('NtManageHotPatch', () => ntStatus('STATUS_NOT_SUPPORTED').value);
  return services;
}
