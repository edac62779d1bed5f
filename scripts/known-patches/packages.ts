/** How each package is compiled into one DLL; the configuration headers are in config/. */
export interface KnownPackage {
  /** Patterns of source files, relative to the package. */
  readonly sources: readonly string[];
  readonly without?: readonly string[];
  readonly flags?: readonly string[];
  readonly include?: readonly string[];
  /** Of folders and files that are left out of the copy: no source needs them. */
  readonly leaveOut?: RegExp;
  /** Another package that is compiled into the image too: its sources come to a folder of that name. */
  readonly with?: { readonly package: string; readonly sources: readonly string[] };
  /** Built by a command of its own instead. */
  readonly command?: readonly string[];
}

export const PACKAGES: Readonly<Record<string, KnownPackage>> = {
  cjson: {
    sources: ['cJSON.c', 'cJSON_Utils.c'],
    flags: ['-DCJSON_HIDE_SYMBOLS'],
    include: ['.'],
    leaveOut: /^(?:tests|fuzzing)\//,
  },
  'libpng1.6': {
    sources: ['png*.c'],
    without: ['pngtest.c'],
    flags: ['-DPNG_ARM_NEON_OPT=0'],
    include: ['.', 'zlib'],
    leaveOut: /^(?:contrib|projects|tests)\//,
    with: {
      package: 'zlib',
      sources: [
        'adler32.c',
        'compress.c',
        'crc32.c',
        'deflate.c',
        'inffast.c',
        'inflate.c',
        'inftrees.c',
        'trees.c',
        'uncompr.c',
        'zutil.c',
      ],
    },
  },
  libwebp: {
    sources: [
      'src/dec/*.c',
      'src/demux/*.c',
      'src/dsp/*.c',
      'src/enc/*.c',
      'src/mux/*.c',
      'src/utils/*.c',
      'sharpyuv/*.c',
    ],
    include: ['.', 'src'],
    leaveOut: /^(?:examples|extras|swig|imageio|man|tests|doc)\//,
  },
  tiff: {
    sources: ['libtiff/*.c'],
    without:
      'mkg3states.c mkspans.c tif_unix.c tif_jpeg.c tif_jpeg_12.c tif_ojpeg.c tif_jbig.c tif_lerc.c tif_lzma.c tif_webp.c tif_zstd.c tif_zip.c tif_pixarlog.c'.split(
        ' ',
      ),
    include: ['CFG', 'libtiff'],
    leaveOut: /^(?:test|html|doc|man|contrib|tools|archive|build)\//,
  },
  openjpeg2: {
    sources: ['src/lib/openjp2/*.c'],
    without:
      'bench_dwt.c t1_generate_luts.c t1_ht_generate_luts.c test_sparse_array.c cidx_manager.c phix_manager.c ppix_manager.c thix_manager.c tpix_manager.c'.split(
        ' ',
      ),
    flags: ['-DOPJ_STATIC'],
    include: ['CFG', 'src/lib/openjp2'],
    leaveOut: /^(?:thirdparty|tests|doc|wrapping|src\/bin|src\/lib\/openj(?:pip|p3d|mj2))\//,
  },
  'c-ares': {
    sources: ['src/lib/*.c'],
    without: ['ares_android.c'],
    flags: [
      '-DCARES_STATICLIB',
      '-DCARES_BUILDING_LIBRARY',
      '-include',
      '_mingw.h',
      '-DINADDRSZ=NS_INADDRSZ',
    ],
    include: ['include', 'src/lib'],
    leaveOut: /^(?:test|docs)\//,
  },
  nghttp2: {
    sources: ['lib/*.c'],
    flags: ['-DHAVE_CONFIG_H', '-DNGHTTP2_STATICLIB'],
    include: ['CFG', 'lib/includes', 'lib'],
    leaveOut: /^(?!lib\/)[^/]+\//,
  },
  libsndfile: {
    sources: ['src/*.c', 'src/ALAC/*.c', 'src/G72x/*.c', 'src/GSM610/*.c'],
    without:
      'g72x_test.c test_audio_detect.c test_binheader_writef.c test_broadcast_var.c test_cart_var.c test_conversions.c test_file_io.c test_float.c test_ima_oki_adpcm.c test_log_printf.c test_main.c test_nms_adpcm.c test_strncpy_crlf.c macos.c'.split(
        ' ',
      ),
    flags: ['-DHAVE_CONFIG_H'],
    include: ['CFG', 'include', 'src', 'src/ALAC'],
    leaveOut: /^(?:tests|docs|programs|regtest|examples|Octave)\//,
  },
  libxml2: {
    sources: ['*.c'],
    without:
      'DOCBparser.c testcatalog.c runsuite.c runtest.c runxmlconf.c testAutomata.c testC14N.c testHTML.c testModule.c testReader.c testRegexp.c testRelax.c testSAX.c testSchemas.c testThreads.c testURI.c testXPath.c testapi.c testchar.c testdict.c testdso.c testlimits.c testrecurse.c trio.c trionan.c triostr.c xmlcatalog.c xmllint.c nanoftp.c nanohttp.c'.split(
        ' ',
      ),
    flags: ['-DHAVE_WIN32_THREADS', '-DLIBXML_STATIC'],
    include: ['CFG', 'include'],
    leaveOut: /^(?:test|result|doc|python|xstc|fuzz|example|macos|os400|vms|win32|VxWorks|bakefile|optim)\//,
  },
  libarchive: {
    sources: ['libarchive/*.c'],
    without:
      'archive_disk_acl_darwin.c archive_disk_acl_freebsd.c archive_disk_acl_linux.c archive_disk_acl_sunos.c archive_read_disk_posix.c archive_write_disk_posix.c filter_fork_posix.c archive_entry_copy_bhfi_x.c'.split(
        ' ',
      ),
    flags: ['-DHAVE_CONFIG_H', '-DLIBARCHIVE_STATIC', '-D__LIBARCHIVE_ENABLE_VISIBILITY'],
    include: ['CFG', 'libarchive'],
    leaveOut: /^(?:tar|cpio|cat|test_utils|contrib|examples|doc|libarchive\/test)\//,
  },
  sqlite3: {
    sources: ['sqlite3.c'],
    leaveOut: /^(?:test|vsixtest|art|doc|mptest|contrib)\//,
    command: [
      'sh',
      '-c',
      '[ -f Makefile ] || env -u CONFIG_SITE CC=gcc AR=ar RANLIB=ranlib ./configure --disable-tcl >/dev/null && env CC=gcc make -s sqlite3.c >/dev/null && hotpatch-cc -O2 -w -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK -I. -c sqlite3.c -o sqlite3.obj',
    ],
  },
};
