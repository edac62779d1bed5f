/* What callers of the library need of the C runtime and of C: a FILE that holds bytes of theirs, and callbacks. */
#include <stdio.h>
#include "archive.h"

FILE *known_file(const char *path, const void *bytes, unsigned size)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size)
		return NULL;
	fclose(file);
	return fopen(path, "rb");
}

static const void *known_bytes;
static unsigned known_size;
static la_int64_t known_most;

static la_ssize_t known_read(struct archive *archive, void *data, const void **buffer)
{
	unsigned size = known_size;
	(void)archive;
	(void)data;
	*buffer = known_bytes;
	known_size = 0;
	return (size);
}

static la_int64_t known_skip(struct archive *archive, void *data, la_int64_t request)
{
	(void)archive;
	(void)data;
	if (request > known_most)
		known_most = request;
	return (request);
}

int known_open(struct archive *archive, const void *bytes, unsigned size)
{
	known_bytes = bytes;
	known_size = size;
	archive_read_set_read_callback(archive, known_read);
	archive_read_set_skip_callback(archive, known_skip);
	archive_read_set_callback_data(archive, NULL);
	return (archive_read_open1(archive));
}

/* In MiB, the most that was to be skipped at once. */
int known_skipped(void)
{
	return ((int)(known_most >> 20));
}
