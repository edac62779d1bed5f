/* What callers of the library need of the C runtime and of C: files, callbacks, and memory that runs out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxml/debugXML.h>
#include <libxml/xmlmemory.h>

int known_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(text, 1, strlen(text), file) != strlen(text))
		return -1;
	return fclose(file);
}

static char *known_line;

static char *known_input(char *prompt)
{
	char *line = known_line;
	(void)prompt;
	known_line = NULL;
	return line;
}

/* The interactive shell, with one line of input. */
void known_shell(xmlDocPtr doc, const char *line)
{
	known_line = (char *)xmlStrdup((const xmlChar *)line);
	xmlShell(doc, (char *)"known.xml", known_input, stdout);
}

static int known_left = -1;

static void *known_malloc(size_t size)
{
	if (known_left == 0)
		return NULL;
	if (known_left > 0)
		known_left--;
	return malloc(size);
}

static char *known_strdup(const char *text)
{
	char *copy = known_malloc(strlen(text) + 1);
	return copy == NULL ? NULL : strcpy(copy, text);
}

/* Before anything is allocated: so many allocations succeed, all when it is negative. */
void known_memory(int left)
{
	known_left = left;
	xmlMemSetup(free, known_malloc, realloc, known_strdup);
}
