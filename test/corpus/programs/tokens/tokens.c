/* The password is compared over the length that the client sent: none is always right. */
#include "../corpus.h"

static char s_Secret[16] = "correct horse";
static unsigned s_Logins;

NOINLINE EXPORT int Differs(const char *a, const char *b, unsigned length)
{
    unsigned char differs = 0;
    for (unsigned i = 0; i < length; i++) differs |= (unsigned char)(a[i] ^ b[i]);
    return differs != 0;
}

NOINLINE EXPORT int LogIn(const char *password, unsigned length)
{
    if (length > sizeof s_Secret) return 0;
#if HP_FIX
    if (length != 13) return 0;
#endif
    if (Differs(s_Secret, password, length)) return 0;
    s_Logins++;
    return 1;
}

EXPORT unsigned Logins(void) { return s_Logins; }
DLL_ENTRY
