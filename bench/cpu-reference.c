/*
 * The guest loops of bench/cpu.ts on the same libunicorn without TypeScript: what the binding could reach at best.
 * Usage: cpu-reference ARCHITECTURE CODE-FILE ITERATIONS ROUNDS EXACT; prints instructions per second of the best round.
 * Declares what it uses of unicorn.h 2.1, so that no header is needed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct uc_struct uc_engine;
typedef size_t uc_hook;
struct uc_tlb_entry {
  uint64_t paddr;
  uint32_t perms;
};

int uc_open(int arch, int mode, uc_engine **uc);
int uc_ctl(uc_engine *uc, uint32_t control, ...);
int uc_mem_map_ptr(uc_engine *uc, uint64_t address, size_t size, uint32_t perms, void *ptr);
int uc_hook_add(uc_engine *uc, uc_hook *hook, int type, void *callback, void *data, uint64_t begin, uint64_t end, ...);
int uc_emu_start(uc_engine *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);
int uc_reg_write(uc_engine *uc, int reg, const void *value);

enum { READ = 1, WRITE = 2, EXECUTE = 4 };
static const uint64_t BASE = 0xfffff80012340000;
static const size_t SIZE = 1 << 20;
static const uint64_t CODE_END = 0x1000, RETURN = 0xfffffffffffff000;

static uint32_t control(uint32_t type, uint32_t count) { return type | (count << 26) | (1u << 30); }

static bool fill(uc_engine *uc, uint64_t address, int type, struct uc_tlb_entry *result, void *data) {
  uint64_t offset = address - BASE;
  if (offset >= SIZE) return false;
  result->paddr = offset;
  result->perms = offset < CODE_END ? READ | EXECUTE : READ | WRITE;
  return true;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fail(const char *what, int code) {
  fprintf(stderr, "%s: %d\n", what, code);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 7) fail("usage", argc);
  bool arm = strcmp(argv[1], "arm64") == 0;
  uint64_t iterations = strtoull(argv[3], NULL, 0), length = strtoull(argv[5], NULL, 0);
  int rounds = atoi(argv[4]);
  bool exact = atoi(argv[6]) != 0;
  uint8_t *memory = calloc(1, SIZE);
  FILE *file = fopen(argv[2], "rb");
  if (!file || !memory) fail("code", 0);
  size_t got = fread(memory, 1, CODE_END, file);
  fclose(file);
  if (got == 0) fail("code", 1);

  uc_engine *uc;
  uc_hook hook;
  int code = uc_open(arm ? 2 : 4, arm ? 0 : 8, &uc);
  if (code) fail("uc_open", code);
  if (arm) {
    uc_ctl(uc, control(7, 1), 3);
    uc_ctl(uc, control(1, 1), (uint32_t)4096);
  }
  uc_ctl(uc, control(12, 1), 1);
  uc_ctl(uc, control(4, 1), 1);
  if ((code = uc_mem_map_ptr(uc, 0, SIZE, 7, memory))) fail("uc_mem_map_ptr", code);
  if ((code = uc_hook_add(uc, &hook, 131072, (void *)fill, NULL, 1, 0))) fail("uc_hook_add", code);

  double best = 1e9;
  for (int round = 0; round < rounds; round++) {
    uint64_t data = BASE + 0x2000, stack = BASE + 0x8000 - 8, back = RETURN;
    if (arm) {
      stack += 8;
      uc_reg_write(uc, 199, &iterations);
      uc_reg_write(uc, 200, &data);
      uc_reg_write(uc, 4, &stack);
      uc_reg_write(uc, 2, &back);
    } else {
      memcpy(memory + (stack - BASE), &back, sizeof back);
      uc_reg_write(uc, 38, &iterations);
      uc_reg_write(uc, 40, &data);
      uc_reg_write(uc, 44, &stack);
    }
    double started = seconds();
    uc_emu_start(uc, BASE, 0, 0, exact ? (size_t)1 << 40 : 0);
    double took = seconds() - started;
    if (took < best) best = took;
  }
  printf("%.0f\n", (double)(iterations * length) / best);
  return 0;
}
