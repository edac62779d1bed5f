/** Hosts of API set contracts, longest prefix first; the schema itself (apisetschema.dll) is not modelled. */
const HOSTS: readonly (readonly [prefix: string, host: string])[] = [
  ['api-ms-win-crt-', 'ucrtbase.dll'],
  ['api-ms-win-core-rtlsupport-', 'ntdll.dll'],
  ['api-ms-win-core-', 'kernelbase.dll'],
  ['api-ms-win-security-', 'kernelbase.dll'],
  ['api-ms-win-eventing-', 'kernelbase.dll'],
  ['ext-ms-', 'kernelbase.dll'],
  ['api-ms-win-', 'kernelbase.dll'],
];

/** `hal.dll` has been part of the kernel image since Windows 10 2004; it only forwards. */
const ALIASES: Readonly<Record<string, string>> = {
  'hal.dll': 'ntoskrnl.exe',
  'ntkrnlmp.exe': 'ntoskrnl.exe',
};

/** The module that implements an imported one, in lower case: the host of an API set, or the module itself. */
export function apiSetHost(module: string): string {
  const name = module.toLowerCase();
  return ALIASES[name] ?? HOSTS.find(([prefix]) => name.startsWith(prefix))?.[1] ?? name;
}
