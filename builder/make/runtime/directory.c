/* <dirent.h> of mingw-w64. Only what a DIR begins with is its own: programs look at struct dirent. */
#include <stddef.h>
extern int *_errno(void);
extern void *malloc(size_t size);
extern void free(void *memory);
extern unsigned __stdcall GetFileAttributesA(const char *path);
extern void *__stdcall FindFirstFileA(const char *pattern, void *found);
extern int __stdcall FindNextFileA(void *search, void *found);
extern int __stdcall FindClose(void *search);
#define ENOENT 2
#define EFAULT 14
#define ENOTDIR 20
#define INVALID ((void *)(ptrdiff_t)-1)
#define DIRECTORY 0x10
struct found { unsigned attributes, times[6], size[2], reserved[2]; char name[260], alternate[14]; };
struct dirent { long number; unsigned short length, nameLength; char name[260]; };
typedef struct { struct found found; struct dirent entry; void *search; long at; char pattern[1]; } DIR;

static DIR *failed(int error) { *_errno() = error; return 0; }

DIR *opendir(const char *path)
{
    size_t length = 0;
    unsigned attributes;
    DIR *directory;
    if (!path) return failed(EFAULT);
    while (path[length]) length++;
    if (length == 0) return failed(ENOENT);
    attributes = GetFileAttributesA(path);
    if (attributes == (unsigned)-1) return failed(ENOENT);
    if (!(attributes & DIRECTORY)) return failed(ENOTDIR);
    directory = malloc(sizeof *directory + length + 2);
    if (!directory) return 0;
    directory->search = INVALID;
    directory->at = 0;
    directory->entry.number = 0;
    directory->entry.length = 0;
    for (size_t at = 0; at < length; at++) directory->pattern[at] = path[at];
    if (path[length - 1] != '/' && path[length - 1] != '\\') directory->pattern[length++] = '\\';
    directory->pattern[length++] = '*';
    directory->pattern[length] = 0;
    return directory;
}
/* At the end, errno stays as it is. */
struct dirent *readdir(DIR *directory)
{
    unsigned short length = 0;
    if (!directory || directory->at < 0) return 0;
    if (directory->search == INVALID) {
        directory->search = FindFirstFileA(directory->pattern, &directory->found);
        if (directory->search == INVALID) { directory->at = -1; return 0; }
    } else if (!FindNextFileA(directory->search, &directory->found)) { directory->at = -1; return 0; }
    directory->at++;
    for (; directory->found.name[length]; length++) directory->entry.name[length] = directory->found.name[length];
    directory->entry.name[length] = 0;
    directory->entry.nameLength = length;
    return &directory->entry;
}
void rewinddir(DIR *directory)
{
    if (directory->search != INVALID) FindClose(directory->search);
    directory->search = INVALID;
    directory->at = 0;
}
int closedir(DIR *directory)
{
    if (!directory) { *_errno() = EFAULT; return -1; }
    rewinddir(directory);
    free(directory);
    return 0;
}
long telldir(DIR *directory) { return directory->at; }
void seekdir(DIR *directory, long at)
{
    rewinddir(directory);
    if (at < 0) directory->at = -1;
    else while (directory->at < at && readdir(directory)) { }
}
