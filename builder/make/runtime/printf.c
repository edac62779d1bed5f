/* ucrtbase.dll exports no printf by name: Windows' headers make them of __stdio_common_v*. */
#include <stdarg.h>
#include <stddef.h>
struct _iobuf;
typedef struct _iobuf FILE;
typedef unsigned long long u64;
extern FILE *__acrt_iob_func(unsigned index);
extern int __stdio_common_vsprintf(u64 options, char *buffer, size_t count, const char *format, void *locale, va_list list);
extern int __stdio_common_vfprintf(u64 options, FILE *stream, const char *format, void *locale, va_list list);
extern int __stdio_common_vsscanf(u64 options, const char *text, size_t count, const char *format, void *locale, va_list list);
#define LEGACY_VSPRINTF_NULL_TERMINATION 1
#define STANDARD_SNPRINTF_BEHAVIOR 2
#define VARIADIC(result, last, call) va_list list; result done; va_start(list, last); done = call; va_end(list); return done
extern int __stdio_common_vfscanf(u64 options, FILE *stream, const char *format, void *locale, va_list list);
int vsnprintf(char *to, size_t size, const char *format, va_list list);
int _vsnprintf(char *to, size_t size, const char *format, va_list list);
int vsprintf(char *to, const char *format, va_list list);
int vfprintf(FILE *stream, const char *format, va_list list);
int vprintf(const char *format, va_list list);
int vsscanf(const char *text, const char *format, va_list list);
int vfscanf(FILE *stream, const char *format, va_list list);
int vscanf(const char *format, va_list list);
int _vscprintf(const char *format, va_list list);
/* -- member -- */
int vsnprintf(char *to, size_t size, const char *format, va_list list)
{ return __stdio_common_vsprintf(STANDARD_SNPRINTF_BEHAVIOR, to, size, format, 0, list); }
/* -- member -- */
int _vsnprintf(char *to, size_t size, const char *format, va_list list)
{ return __stdio_common_vsprintf(LEGACY_VSPRINTF_NULL_TERMINATION, to, size, format, 0, list); }
/* -- member -- */
int vsprintf(char *to, const char *format, va_list list)
{ return __stdio_common_vsprintf(LEGACY_VSPRINTF_NULL_TERMINATION, to, (size_t)-1, format, 0, list); }
/* -- member -- */
int vfprintf(FILE *stream, const char *format, va_list list)
{ return __stdio_common_vfprintf(0, stream, format, 0, list); }
/* -- member -- */
int vprintf(const char *format, va_list list) { return vfprintf(__acrt_iob_func(1), format, list); }
/* -- member -- */
int vsscanf(const char *text, const char *format, va_list list)
{ return __stdio_common_vsscanf(0, text, (size_t)-1, format, 0, list); }
/* -- member -- */
int snprintf(char *to, size_t size, const char *format, ...) { VARIADIC(int, format, vsnprintf(to, size, format, list)); }
/* -- member -- */
int _snprintf(char *to, size_t size, const char *format, ...) { VARIADIC(int, format, _vsnprintf(to, size, format, list)); }
/* -- member -- */
int sprintf(char *to, const char *format, ...) { VARIADIC(int, format, vsprintf(to, format, list)); }
/* -- member -- */
int fprintf(FILE *stream, const char *format, ...) { VARIADIC(int, format, vfprintf(stream, format, list)); }
/* -- member -- */
int printf(const char *format, ...) { VARIADIC(int, format, vprintf(format, list)); }
/* -- member -- */
int sscanf(const char *text, const char *format, ...) { VARIADIC(int, format, vsscanf(text, format, list)); }
/* -- member -- */
int vfscanf(FILE *stream, const char *format, va_list list) { return __stdio_common_vfscanf(0, stream, format, 0, list); }
/* -- member -- */
int vscanf(const char *format, va_list list) { return vfscanf(__acrt_iob_func(0), format, list); }
/* -- member -- */
int fscanf(FILE *stream, const char *format, ...) { VARIADIC(int, format, vfscanf(stream, format, list)); }
/* -- member -- */
int scanf(const char *format, ...) { VARIADIC(int, format, vscanf(format, list)); }
/* -- member -- */
int _vscprintf(const char *format, va_list list)
{ return __stdio_common_vsprintf(STANDARD_SNPRINTF_BEHAVIOR, 0, 0, format, 0, list); }
/* -- member -- */
int _scprintf(const char *format, ...) { VARIADIC(int, format, _vscprintf(format, list)); }
/* -- member -- */
int __mingw_vsnprintf(char *to, size_t size, const char *format, va_list list) { return vsnprintf(to, size, format, list); }
int __mingw_vsprintf(char *to, const char *format, va_list list) { return vsprintf(to, format, list); }
int __mingw_vfprintf(FILE *stream, const char *format, va_list list) { return vfprintf(stream, format, list); }
int __mingw_vprintf(const char *format, va_list list) { return vprintf(format, list); }
int __mingw_snprintf(char *to, size_t size, const char *format, ...) { VARIADIC(int, format, vsnprintf(to, size, format, list)); }
int __mingw_sprintf(char *to, const char *format, ...) { VARIADIC(int, format, vsprintf(to, format, list)); }
int __mingw_fprintf(FILE *stream, const char *format, ...) { VARIADIC(int, format, vfprintf(stream, format, list)); }
int __mingw_sscanf(const char *text, const char *format, ...) { VARIADIC(int, format, vsscanf(text, format, list)); }
int __mingw_vsscanf(const char *text, const char *format, va_list list) { return vsscanf(text, format, list); }
int __mingw_vfscanf(FILE *stream, const char *format, va_list list) { return vfscanf(stream, format, list); }
int __mingw_fscanf(FILE *stream, const char *format, ...) { VARIADIC(int, format, vfscanf(stream, format, list)); }
int __mingw_scanf(const char *format, ...) { VARIADIC(int, format, vscanf(format, list)); }
