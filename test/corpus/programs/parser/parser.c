/* Two faults, fixed one after the other: a negative index (HP_FIX=1), then a length that is not checked (HP_FIX=2). */
#include "../corpus.h"

static int s_Kinds[4] = { 10, 20, 30, 40 };
static unsigned s_Parsed;

NOINLINE EXPORT unsigned CheckSum(const unsigned char *bytes, unsigned length)
{
    unsigned sum = 5381;
    for (unsigned i = 0; i < length; i++) sum = sum * 33 ^ bytes[i];
    return sum;
}

NOINLINE EXPORT int ParseHeader(int kind)
{
    s_Parsed++;
#if HP_FIX >= 1
    if (kind < 0) return -1;
#endif
    return kind < 4 ? s_Kinds[kind] : -1;
}

NOINLINE EXPORT int ParseBody(const unsigned char *body, unsigned size)
{
    s_Parsed++;
#if HP_FIX >= 2
    if (size == 0 || body[0] >= size) return -1;
#else
    (void)size;
#endif
    return (int)(CheckSum(body + 1, body[0]) & 0x7fffffff);
}

EXPORT unsigned Parsed(void) { return s_Parsed; }
DLL_ENTRY
