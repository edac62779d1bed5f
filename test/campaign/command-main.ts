/** The `hotpatch` command from its sources, for tests that need it in a process of its own. */
import { main } from '../../cli/main.js';

process.exit(await main(process.argv.slice(2)));
