/* basename and dirname of POSIX, with both of Windows' separators and drive letters; they write into the path. */
static int isSeparator(char one) { return one == '/' || one == '\\'; }
static char *behindDrive(char *path)
{
    char letter = path[0] | 0x20;
    return letter >= 'a' && letter <= 'z' && path[1] == ':' ? path + 2 : path;
}
static char *endOf(char *from, char *path)
{
    char *end = from;
    while (*end) end++;
    while (end > from + 1 && isSeparator(end[-1])) end--;
    (void)path;
    return end;
}
/* -- member -- */
char *basename(char *path)
{
    static char none[] = ".", root[] = "/";
    char *begin, *end, *at;
    if (path == 0 || *path == 0) return none;
    begin = behindDrive(path);
    if (*begin == 0) return none;
    end = endOf(begin, path);
    if (end == begin + 1 && isSeparator(*begin)) return root;
    *end = 0;
    for (at = end; at > begin && !isSeparator(at[-1]); at--) { }
    return at;
}
/* -- member -- */
char *dirname(char *path)
{
    static char none[] = ".";
    char *begin, *end;
    if (path == 0 || *path == 0) return none;
    begin = behindDrive(path);
    end = endOf(begin, path);
    while (end > begin && !isSeparator(end[-1])) end--;
    while (end > begin + 1 && isSeparator(end[-1])) end--;
    if (end == begin && begin == path) return none;
    if (end == begin) { begin[0] = '.'; end = begin + 1; }
    *end = 0;
    return path;
}
