#include <stddef.h>
extern void *memcpy(void *to, const void *from, size_t size);
void *mempcpy(void *to, const void *from, size_t size) { return (char *)memcpy(to, from, size) + size; }
