extern void __stdcall Sleep(unsigned milliseconds);
/* -- member -- */
unsigned sleep(unsigned seconds) { Sleep(seconds * 1000); return 0; }
/* -- member -- */
int usleep(unsigned microseconds) { Sleep((microseconds + 999) / 1000); return 0; }
