export { campaignPage } from './page.js';
export { type CampaignReport, type CampaignTimings, type Count, reportOn } from './summary.js';
export { type TestCase, testCaseOf } from './test-case.js';
