/** The security fixes that are tried: chosen before any of them was, and none is left out because of how it ends. */
export interface KnownPatch {
  /** Name in debian/patches. */
  readonly file: string;
  /** What its text names. */
  readonly cves: readonly string[];
}

/** Debian source packages of bookworm: version, and the patches of its series that name a CVE and touch the library. */
export const KNOWN_PATCHES: Readonly<
  Record<string, { readonly version: string; readonly patches: readonly KnownPatch[] }>
> = {
  cjson: {
    version: '1.7.15-1+deb12u4',
    patches: [
      { file: '0001-add-null-checkings.patch', cves: ['CVE-2023-50471', 'CVE-2023-50472'] },
      { file: '0002-add-null-check-to-cjson-setvaluestring.patch', cves: ['CVE-2024-31755'] },
      { file: '0001-allocate-memory-for-the-temporary-buffer.patch', cves: ['CVE-2023-26819'] },
      { file: 'CVE-2025-57052.patch', cves: ['CVE-2025-57052'] },
    ],
  },
  'libpng1.6': {
    version: '1.6.39-2+deb12u5',
    patches: [
      { file: 'CVE-2025-64505.patch', cves: ['CVE-2025-64505'] },
      { file: 'CVE-2025-64506.patch', cves: ['CVE-2025-64506'] },
      { file: 'CVE-2025-64720.patch', cves: ['CVE-2025-64720'] },
      { file: 'CVE-2025-65018-part1.patch', cves: ['CVE-2025-65018'] },
      { file: 'CVE-2025-65018-part2.patch', cves: ['CVE-2025-65018'] },
      { file: 'CVE-2025-66293-part1.patch', cves: ['CVE-2025-66293'] },
      { file: 'CVE-2025-66293-part2.patch', cves: ['CVE-2025-66293'] },
      { file: 'CVE-2026-22801.patch', cves: ['CVE-2026-22801'] },
      { file: 'CVE-2026-22695.patch', cves: ['CVE-2025-65018', 'CVE-2026-22695'] },
      { file: 'CVE-2026-25646.patch', cves: ['CVE-2026-25646'] },
      { file: 'CVE-2026-33416-part1.patch', cves: ['CVE-2026-33416'] },
      { file: 'CVE-2026-33416-part2.patch', cves: ['CVE-2026-33416'] },
      { file: 'CVE-2026-33416-part3.patch', cves: ['CVE-2026-33416'] },
      { file: 'CVE-2026-33416-part4.patch', cves: ['CVE-2026-33416'] },
      { file: 'CVE-2026-34757-part1.patch', cves: ['CVE-2026-34757'] },
      { file: 'CVE-2026-34757-part2.patch', cves: ['CVE-2026-34757'] },
      { file: 'CVE-2026-33416-regression-fix.patch', cves: ['CVE-2026-33416'] },
    ],
  },
  libwebp: {
    version: '1.2.4-0.2+deb12u1',
    patches: [
      { file: 'EncodeAlphaInternal-clear-result-bw-on-error.patch', cves: ['CVE-2023-1999'] },
      { file: 'CVE-2023-4863.patch', cves: ['CVE-2023-4863'] },
    ],
  },
  tiff: {
    version: '4.5.0-6+deb12u4',
    patches: [
      { file: 'CVE-2023-2731.patch', cves: ['CVE-2023-2731'] },
      { file: 'CVE-2023-2908.patch', cves: ['CVE-2023-2908'] },
      { file: 'CVE-2023-52356.patch', cves: ['CVE-2023-52356'] },
      { file: 'CVE-2023-26966.patch', cves: ['CVE-2023-26966'] },
      { file: 'CVE-2024-7006.patch', cves: ['CVE-2024-7006'] },
      { file: 'CVE-2025-9900.patch', cves: ['CVE-2025-9900'] },
      { file: 'CVE-2026-4775.patch', cves: ['CVE-2026-4775'] },
    ],
  },
  openjpeg2: {
    version: '2.5.0-2+deb12u3',
    patches: [
      { file: 'CVE-2023-39327.patch', cves: ['CVE-2023-39327'] },
      { file: 'CVE-2024-56827.patch', cves: ['CVE-2024-56827'] },
      { file: 'CVE-2026-6192.patch', cves: ['CVE-2026-6192'] },
    ],
  },
  'c-ares': {
    version: '1.18.1-3',
    patches: [
      { file: 'CVE-2022-4904.diff', cves: ['CVE-2022-4904'] },
      { file: 'CVE-2023-31130.diff', cves: ['CVE-2023-31130'] },
      { file: 'CVE-2023-32067.diff', cves: ['CVE-2023-32067'] },
    ],
  },
  nghttp2: {
    version: '1.52.0-1+deb12u3',
    patches: [
      { file: 'CVE-2023-44487.patch', cves: ['CVE-2023-44487'] },
      { file: 'CVE-2026-27135.patch', cves: ['CVE-2026-27135'] },
    ],
  },
  libsndfile: {
    version: '1.2.0-1+deb12u1',
    patches: [
      { file: 'CVE-2022-33065.patch', cves: ['CVE-2022-33065'] },
      { file: 'CVE-2024-50612.patch', cves: ['CVE-2024-50612'] },
    ],
  },
  libxml2: {
    version: '2.9.14+dfsg-1.3~deb12u6',
    patches: [
      { file: 'CVE-2022-40303-Fix-integer-overflows-with-XML_PARSE_.patch', cves: ['CVE-2022-40303'] },
      { file: 'CVE-2022-40304-Fix-dict-corruption-caused-by-entity-.patch', cves: ['CVE-2022-40304'] },
      { file: 'CVE-2023-28484-Fix-null-deref-in-xmlSchemaFixupCompl.patch', cves: ['CVE-2023-28484'] },
      { file: 'CVE-2023-29469-Hashing-of-empty-dict-strings-isn-t-d.patch', cves: ['CVE-2023-29469'] },
      { file: 'Reset-nsNr-in-xmlCtxtReset.patch', cves: ['CVE-2022-2309'] },
      { file: 'Also-reset-nsNr-in-htmlCtxtReset.patch', cves: ['CVE-2022-2309'] },
      { file: 'CVE-2022-49043.patch', cves: ['CVE-2022-49043'] },
      { file: 'CVE-2024-56171.patch', cves: ['CVE-2024-56171'] },
      { file: 'CVE-2025-24928-pre1.patch', cves: ['CVE-2025-24928'] },
      { file: 'CVE-2025-24928.patch', cves: ['CVE-2025-24928'] },
      { file: 'CVE-2025-27113.patch', cves: ['CVE-2025-27113'] },
      { file: 'CVE-2023-39615_1.patch', cves: ['CVE-2023-39615'] },
      { file: 'CVE-2023-39615_2.patch', cves: ['CVE-2023-39615'] },
      { file: 'CVE-2023-45322.patch', cves: ['CVE-2023-45322'] },
      { file: 'CVE-2024-25062.patch', cves: ['CVE-2024-25062'] },
      { file: 'CVE-2025-32415.patch', cves: ['CVE-2025-32415'] },
      { file: 'CVE-2025-6021.patch', cves: ['CVE-2025-6021'] },
      { file: 'CVE-2025-6170.patch', cves: ['CVE-2025-6170'] },
      { file: 'CVE-2025-49794_CVE-2025-49796.patch', cves: ['CVE-2025-49794', 'CVE-2025-49796'] },
      { file: 'CVE-2025-7425.patch', cves: ['CVE-2025-7425'] },
      { file: 'CVE-2025-9714.patch', cves: ['CVE-2025-9714'] },
      { file: 'CVE-2026-1757.patch', cves: ['CVE-2026-1757'] },
      { file: 'CVE-2025-8732.patch', cves: ['CVE-2025-8732'] },
      { file: 'CVE-2026-0990.patch', cves: ['CVE-2026-0990'] },
      { file: 'CVE-2026-0992/01-4af23b523.patch', cves: ['CVE-2026-0992'] },
      { file: 'CVE-2026-0992/02-096402c94.patch', cves: ['CVE-2026-0992'] },
      {
        file: '0034-testcatalog-Add-new-tests-for-catalog.c.patch',
        cves: ['CVE-2026-0990', 'CVE-2026-0992'],
      },
      { file: 'CVE-2026-0989.patch', cves: ['CVE-2026-0989'] },
    ],
  },
  libarchive: {
    version: '3.6.2-1+deb12u5',
    patches: [
      { file: 'fix-OOB-in-rar-e8-filter-2135.patch', cves: ['CVE-2024-26256'] },
      { file: 'rar4-reader-protect-copy_from_lzss_window_to_unp-217.patch', cves: ['CVE-2024-20696'] },
      { file: 'CVE-2025-5914.patch', cves: ['CVE-2025-5914'] },
      { file: 'CVE-2025-5915.patch', cves: ['CVE-2025-5915'] },
      { file: 'CVE-2025-5916.patch', cves: ['CVE-2025-5916'] },
      { file: 'CVE-2025-5917.patch', cves: ['CVE-2025-5917'] },
      { file: 'CVE-2025-5918-pre1.patch', cves: ['CVE-2025-5918'] },
      { file: 'CVE-2025-5918_1.patch', cves: ['CVE-2025-5918'] },
      { file: 'CVE-2025-5918_2.patch', cves: ['CVE-2025-5918'] },
      { file: 'CVE-2026-4111-2.patch', cves: ['CVE-2026-4111'] },
      { file: 'CVE-2026-4424-1.patch', cves: ['CVE-2026-4424'] },
      { file: 'CVE-2026-4424-2.patch', cves: ['CVE-2026-4424'] },
      { file: 'CVE-2026-4426_CVE-2026-5121.patch', cves: ['CVE-2026-4426', 'CVE-2026-5121'] },
      { file: 'CVE-2026-14164.patch', cves: ['CVE-2026-14164'] },
      { file: 'CVE-2026-15028.patch', cves: ['CVE-2026-15028'] },
      { file: 'CVE-2026-16517.patch', cves: ['CVE-2026-16517'] },
    ],
  },
  sqlite3: {
    version: '3.40.1-2+deb12u2',
    patches: [{ file: '42-CVE-2025-6965.patch', cves: ['CVE-2025-6965'] }],
  },
};
