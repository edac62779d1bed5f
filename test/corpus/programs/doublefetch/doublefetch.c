/* The length is checked in shared memory and then read again from there. */
#include "../corpus.h"

struct request { unsigned length; unsigned char data[64]; };
struct inbox { unsigned char data[16]; unsigned guard; };
static struct inbox g_Inbox = { { 0 }, 0x600d600d };

NOINLINE EXPORT unsigned Validate(const unsigned char *data)
{
    unsigned sum = 1;
    for (int i = 0; i < 8; i++) sum = sum * 33 + ((const volatile unsigned char *)data)[i];
    return sum;
}

NOINLINE EXPORT int Submit(volatile struct request *request)
{
#if HP_FIX
    unsigned length = request->length;
#else
#define length (request->length)
#endif
    if (length > sizeof g_Inbox.data) return -1;
    unsigned sum = Validate((const unsigned char *)request->data);
    unsigned char *to = g_Inbox.data;
    unsigned count = length;
    for (unsigned i = 0; i < count; i++) to[i] = request->data[i];
    return (int)(sum & 0xffff);
}

EXPORT unsigned Guard(void) { return g_Inbox.guard; }
DRIVER_ENTRY
