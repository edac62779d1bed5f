/* A DLL of the laboratory is never unloaded in an orderly way: what is registered is not called. */
int atexit(void (*function)(void)) { (void)function; return 0; }
