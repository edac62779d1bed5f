/* A heartbeat is answered with as many bytes as the sender claims to have sent. */
#include "../corpus.h"

struct heartbeat { unsigned char type, high, low; unsigned char payload[]; };
static unsigned g_Answered;

NOINLINE EXPORT unsigned Copy(unsigned char *to, const unsigned char *from, unsigned length)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < length; i++) sum = sum * 31 + (to[i] = from[i]);
    return sum;
}

NOINLINE EXPORT int Answer(const struct heartbeat *request, unsigned size, unsigned char *reply)
{
    if (size < sizeof *request || request->type != 1) return -1;
    unsigned length = request->high << 8 | request->low;
#if HP_FIX
    if (length > size - sizeof *request) return 0;
#endif
    Copy(reply, request->payload, length);
    g_Answered++;
    return (int)length;
}

EXPORT unsigned Answered(void) { return g_Answered; }
DRIVER_ENTRY
