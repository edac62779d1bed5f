/* The TLS directory; lld takes it from _tls_used. */
typedef unsigned long Index;
Index _tls_index;
__attribute__((section(".tls"))) char _tls_start = 0;
__attribute__((section(".tls$ZZZ"))) char _tls_end = 0;
__attribute__((used)) const struct {
    const void *start, *end;
    Index *index;
    const void *callbacks;
    unsigned sizeOfZeroFill, characteristics;
} _tls_used = { &_tls_start, &_tls_end, &_tls_index, 0, 0, 0 };
