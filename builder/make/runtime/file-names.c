/* Files beyond 2 GB, by the names of POSIX. */
extern int _chsize(int file, long size);
extern int _chsize_s(int file, long long size);
extern long long _lseeki64(int file, long long offset, int origin);
int ftruncate(int file, long size) { return _chsize(file, size); }
int ftruncate64(int file, long long size) { return _chsize_s(file, size) == 0 ? 0 : -1; }
long long lseek64(int file, long long offset, int origin) { return _lseeki64(file, offset, origin); }
