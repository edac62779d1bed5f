/**
 * How the hotpatch image of a base is named on Windows: `appinfo_hotpatch.dll` for appinfo.dll, `ntkrnlmp_hotpatch.exe`
 * for the kernel.
 * @param base a name or a path, with the separators of either system
 */
export function hotPatchFileName(base: string): string {
  return base.replace(/(\.[^./\\]*)?$/, '_hotpatch$1');
}
