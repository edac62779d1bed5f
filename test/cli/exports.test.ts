import { describe, expect, it } from 'vitest';
import { RETURN_TYPES, showResult } from '../../cli/call-result.js';
import { simulatedModules } from '../../loader/index.js';

/** What 27 libraries of a distribution import that compilers do not bring themselves. */
const NEEDED: Readonly<Record<string, string>> = {
  'ucrtbase.dll':
    'memcpy free memset malloc strlen memmove fwrite realloc __acrt_iob_func memcmp strcmp calloc fclose fread fopen qsort strncmp _errno fputc ferror getenv strchr strcpy memchr strncpy _close _time64 bsearch fflush floor _open exit fgetc isprint pow strerror strrchr strtol tolower _fseeki64 _ftelli64 _strdup abort atoi fputs isspace strcat strncat strstr strtoul _gmtime64 _localtime64 _read _setmode _write ceil fmod isupper log log10 puts strtod toupper _fdopen _fileno _get_osfhandle _lseeki64 _strnicmp _wfopen _wopen exp2 floorf frexp isalnum isalpha isxdigit rand remove sqrt strcspn strtoll strtoull ungetc ___mb_cur_max_func __intrinsic_setjmpex _aligned_free _aligned_malloc _aligned_realloc _beginthread _beginthreadex _ctime64_s _endthread _endthreadex _get_timezone _getcwd _mktime64 _open_osfhandle _stat64 _stricmp _umask _wcsdup _wrename _wrmdir _wstat64i32 _wunlink atan2 atof ceilf exp feof fgets fseek iscntrl isgraph islower ispunct ldexp localeconv log2 longjmp lrintf mbstowcs modf putchar rand_s setlocale strftime strnlen strspn wcschr wcscmp wcscpy wcslen wcsncmp wcsncpy wcsrchr wcstombs wctomb __stdio_common_vsprintf __stdio_common_vfprintf __stdio_common_vsscanf __C_specific_handler',
  'kernel32.dll':
    'GetLastError CloseHandle CreateFileW GetProcAddress MultiByteToWideChar ReadFile WideCharToMultiByte WriteFile CreateFileA GetCurrentProcessId SetEndOfFile SetFilePointer Sleep DeleteCriticalSection DuplicateHandle EnterCriticalSection FlushFileBuffers FormatMessageA FreeLibrary GetCurrentProcess GetCurrentThreadId GetDiskFreeSpaceW GetFileAttributesA GetFileAttributesW GetFileSizeEx GetFileType GetFullPathNameW GetStdHandle GetSystemTimeAsFileTime GetTempPathW GetTickCount InitializeCriticalSection LeaveCriticalSection LoadLibraryA LoadLibraryW LocalFree MapViewOfFile QueryPerformanceCounter UnmapViewOfFile WaitForSingleObject AreFileApisANSI CancelIo CreateDirectoryW CreateEventW CreateFileMappingA CreateFileMappingW CreateMutexA CreateMutexW CreatePipe CreateProcessA DeleteFileA DeleteFileW DeviceIoControl ExpandEnvironmentStringsA FindClose FindFirstFileA FindFirstFileW FindNextFileW FlushViewOfFile FormatMessageW GetACP GetCurrentDirectoryW GetCurrentThread GetDiskFreeSpaceA GetDriveTypeW GetExitCodeProcess GetFileAttributesExW GetFileInformationByHandle GetFileSize GetFullPathNameA GetModuleHandleA GetOEMCP GetOverlappedResult GetProcessHeap GetSystemInfo GetSystemTime GetTempPathA GetVersion GetVersionExA GetVolumePathNameW GetWindowsDirectoryA HeapAlloc HeapCompact HeapCreate HeapDestroy HeapFree HeapReAlloc HeapSize HeapValidate IsValidCodePage LockFile LockFileEx OpenProcess OutputDebugStringA OutputDebugStringW PeekNamedPipe QueryPerformanceFrequency ReleaseMutex ResetEvent SearchPathA SetFileAttributesW SetFilePointerEx SetFileTime SetHandleInformation SetLastError SwitchToThread SystemTimeToFileTime TlsAlloc TlsGetValue TlsSetValue TryEnterCriticalSection UnlockFile UnlockFileEx VirtualAlloc VirtualFree WaitForSingleObjectEx DisableThreadLibraryCalls',
  'advapi32.dll':
    'CryptAcquireContextA CryptGenRandom CryptReleaseContext RegCloseKey RegEnumKeyExA RegOpenKeyExA RegQueryValueExA',
  'ws2_32.dll':
    'WSAGetLastError __WSAFDIsSet bind closesocket connect gethostname getservbyname getservbyport getsockname htonl htons ioctlsocket ntohl ntohs recv recvfrom send setsockopt socket',
  'iphlpapi.dll': 'FreeMibTable GetUnicastIpAddressTable',
};

describe('what programs can import', () => {
  it.each(['x64', 'arm64', 'x86'] as const)(
    'is all that the corpus of libraries needs, on %s',
    (architecture) => {
      const modules = simulatedModules({ kind: 'user', architecture });
      const missing = Object.entries(NEEDED).flatMap(([module, names]) => {
        const own = new Set(modules.find(({ name }) => name === module)?.exports.map(({ name }) => name));
        return names.split(' ').filter((name) => !own.has(name));
      });
      expect(missing).toEqual([]);
    },
  );
});

describe('what a call returned', () => {
  const pointer = { result: 0x2_0000_0300_01n, float: 0 };
  it.each([
    ['auto', pointer, '2199023452161 (0x20000030001)'],
    ['int', pointer, '196609 (0x30001)'],
    ['ptr', pointer, '2199023452161 (0x20000030001)'],
    ['auto', { result: 0xffff_ffffn, float: 0 }, '-1 (0xffffffff)'],
    ['auto', { result: 0xc000_000dn, float: 0 }, '-1073741811 (0xc000000d, STATUS_INVALID_PARAMETER)'],
    ['ntstatus', { result: 0n, float: 0 }, 'STATUS_SUCCESS (0x0)'],
    ['double', { result: 7n, float: 2.5 }, '2.5'],
    ['void', pointer, '(nothing)'],
  ] as const)('%s', (type, registers, shown) => {
    expect(RETURN_TYPES).toContain(type);
    expect(showResult(registers, type)).toBe(shown);
  });
});
