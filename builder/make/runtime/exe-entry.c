/* The entry of a program: what configure and CMake link to see whether a function is there. */
int main(int argc, char **argv, char **environment);
int mainCRTStartup(void)
{
    static char name[] = "program.exe";
    static char *arguments[] = { name, 0 };
    static char *environment[] = { 0 };
    return main(1, arguments, environment);
}
void __main(void) { }
