/* 100 ns since 1601, less the 134,774 days until 1970. */
extern void __stdcall GetSystemTimeAsFileTime(unsigned long long *time);
struct timeval { long seconds, microseconds; };
struct timezone { int west, isSummer; };
int gettimeofday(struct timeval *to, struct timezone *zone);
/* -- member -- */
int gettimeofday(struct timeval *to, struct timezone *zone)
{
    unsigned long long now;
    GetSystemTimeAsFileTime(&now);
    now -= 116444736000000000ull;
    if (to) { to->seconds = (long)(now / 10000000); to->microseconds = (long)(now % 10000000 / 10); }
    if (zone) zone->west = zone->isSummer = 0;
    return 0;
}
/* -- member -- */
int mingw_gettimeofday(struct timeval *to, struct timezone *zone) { return gettimeofday(to, zone); }
