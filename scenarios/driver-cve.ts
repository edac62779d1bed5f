import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/', import.meta.url);
const ERROR_INVALID_PARAMETER = 87;
const NOTES = 60;

/** The machine's processors, and the width of the program that uses the driver. */
const WORLDS = [
  { name: 'x64', driver: 'x64', program: 'x64', wow64: false },
  { name: 'ARM64', driver: 'arm64', program: 'arm64', wow64: false },
  { name: 'x64, from a 32-bit program', driver: 'x64', program: 'x86', wow64: true },
] as const;

type World = (typeof WORLDS)[number];

/** A machine with notes.sys and a program that uses it: `start` calls one of the program's functions on a processor. */
async function boot({ driver, program, wow64 }: World) {
  const lab = await Lab.boot({ architecture: driver, processors: 2 });
  const notes = await lab.loadDriver(new URL(`${driver}/base/notes.sys`, images));
  const process = lab.createProcess({ name: 'program.exe', wow64 });
  const client = await lab.loadDll(process, new URL(`${program}/client.dll`, images));
  const start = (name: string, parameter: number, affinity = 0) =>
    process.createThread(client.symbol(name), [parameter], { affinity, name });
  const attack = () => {
    const thread = start('Attack', 0x1000);
    lab.run({ until: thread.returns() });
    return thread.result;
  };
  return { lab, notes, start, attack };
}

/** An administrator's tool asks the kernel for the hotpatch: NtManageHotPatch, called by its machine code. */
async function updater(lab: Lab, { driver, program, wow64 }: World) {
  await lab.addFile(new URL(`${driver}/patch/notes_hp.sys`, images));
  const tool = lab.createProcess({ name: 'tool.exe', wow64 });
  tool.enablePrivileges('SeLoadDriverPrivilege');
  const manage = await lab.loadDll(tool, new URL(`${program}/manage.dll`, images));
  const path = lab.allocate(Buffer.from('\\??\\C:\\Windows\\Hotpatch\\notes_hp.sys\0', 'utf16le'), {
    domain: tool,
  });
  return () =>
    tool.createThread(manage.symbol('LoadPatch'), [path, 0, 0], { affinity: 1, name: 'LoadPatch' });
}

/** The story of every driver CVE: StoreNote of notes.sys believes the length that a program writes into its note. */
export default defineScenario(
  'An overflow behind an IOCTL is patched while a program hammers the driver',
  async ({ expect, say }) => {
    for (const world of WORLDS) {
      say(`\n${world.name}. Before the hotpatch, a note of 4096 bytes runs over the driver's 64:`);
      const before = await boot(world);
      expect(before.attack).toThrow(/access violation: write/);
      expect(before.lab.transcript).toContain('PAGE_FAULT_IN_NONPAGED_AREA');

      say('\nAnother machine. One processor sends good notes; on the other the hotpatch lands.');
      const { lab, notes, start, attack } = await boot(world);
      const load = await updater(lab, world);
      const hammer = start('Hammer', NOTES);
      lab.run({ instructions: 5000 });
      const tool = load();
      lab.run({ until: tool.returns() });
      expect(tool.result).toBe(0); // STATUS_SUCCESS
      expect(hammer.finished).toBe(false);
      expect(notes.hotPatchState).toBe('AppliedForward');

      lab.run({ until: hammer.returns() });
      say(`${hammer.result} of ${NOTES} notes were stored and read back, before, while and after it landed.`);
      expect(hammer.result).toBe(NOTES);

      say('The same attack again:');
      expect(attack()).toBe(ERROR_INVALID_PARAMETER);
      const device = lab.open('\\\\.\\Notes');
      const [stored, refused] = new Uint32Array(
        device.deviceIoControl(0x222008, undefined, 8).output.slice().buffer,
      );
      expect({ stored, refused }).toEqual({ stored: NOTES, refused: 1 });
    }
  },
);
