/* width * height * 4 is computed in 32 bits: a huge picture gets a small buffer. */
#include "../corpus.h"

static unsigned *g_Pixels;
static unsigned g_Width, g_Height;

NOINLINE EXPORT void Fill(unsigned *pixels, unsigned count, unsigned colour)
{
    for (unsigned i = 0; i < count; i++) ((volatile unsigned *)pixels)[i] = colour + i;
}

NOINLINE EXPORT NTSTATUS CreateFrame(unsigned width, unsigned height, unsigned colour)
{
#if HP_FIX
    if (width == 0 || height == 0 || width > 0x4000000 / 4 / height) {
        DbgPrint("frames: %u x %u is too large", width, height);
        return STATUS_INVALID_PARAMETER;
    }
#endif
    unsigned *pixels = ExAllocatePool2(POOL_FLAG_NON_PAGED, width * height * 4, 'mrfH');
    if (!pixels) return STATUS_INVALID_PARAMETER;
    for (unsigned y = 0; y < height; y++) Fill(pixels + (SIZE_T)y * width, width, colour);
    if (g_Pixels) ExFreePoolWithTag(g_Pixels, 'mrfH');
    g_Pixels = pixels;
    g_Width = width;
    g_Height = height;
    return STATUS_SUCCESS;
}

EXPORT unsigned PixelAt(unsigned x, unsigned y)
{
    return g_Pixels && x < g_Width && y < g_Height ? g_Pixels[y * g_Width + x] : 0;
}
DRIVER_ENTRY
