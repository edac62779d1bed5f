/* A label of eight characters fits, its terminator does not: it lands in the owner behind the text. */
#include "../corpus.h"

struct label { char text[8]; unsigned char owner; };
static struct label s_Labels[4];

NOINLINE EXPORT unsigned Length(const char *text)
{
    unsigned n = 0;
    while (text[n]) n++;
    return n;
}

NOINLINE EXPORT int SetLabel(unsigned index, const char *text)
{
    unsigned length = Length(text);
#if HP_FIX
    if (index >= 4 || length >= sizeof s_Labels[0].text) return -1;
#else
    if (index >= 4 || length > sizeof s_Labels[0].text) return -1;
#endif
    char *to = s_Labels[index].text;
    for (unsigned i = 0; i <= length; i++) to[i] = text[i];
    return (int)length;
}

EXPORT int Own(unsigned index, unsigned owner) { s_Labels[index & 3].owner = (unsigned char)owner; return 0; }
EXPORT int Owner(unsigned index) { return s_Labels[index & 3].owner; }
DLL_ENTRY
