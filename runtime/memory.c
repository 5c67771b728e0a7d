/* memory.c: plain and guarded allocation. */
#define _GNU_SOURCE
#include "memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((uint64_t)2 << 20)

void *attn_plain_alloc(void *ctx, DLDevice device, uint64_t bytes, uint64_t align) {
  (void)ctx;
  if (device.device_type != kDLCPU || (align & (align - 1)) != 0 || bytes > SIZE_MAX / 2)
    return NULL;
  if (align < sizeof(void *))
    align = sizeof(void *);
  int large = bytes >= 2 * HUGE_PAGE && align <= HUGE_PAGE;
  if (large)
    align = HUGE_PAGE;
  void *memory = NULL;
  if (posix_memalign(&memory, (size_t)align, bytes ? (size_t)bytes : 1) != 0)
    return NULL;
#ifdef MADV_HUGEPAGE
  /* Workspaces and caches are walked end to end; a refusal only costs speed. */
  if (large)
    (void)madvise(memory, (size_t)(bytes & ~(HUGE_PAGE - 1)), MADV_HUGEPAGE);
#endif
  return memory;
}

void attn_plain_free(void *ctx, DLDevice device, void *memory) {
  (void)ctx;
  (void)device;
  free(memory);
}

/* Layout of a guarded allocation: | header … memory, padding | inaccessible page |
 * The header lies right before the memory; the first page is writable so that it always fits. */
typedef struct guard_header {
  void *base;
  uint64_t mapped, bytes, padding;
} guard_header;
#define PADDING 0xab

void *attn_guard_alloc(uint64_t bytes, uint64_t align) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  if (align == 0)
    align = 1;
  if ((align & (align - 1)) != 0 || align > page || bytes > (uint64_t)1 << 46)
    return NULL;
  uint64_t size = (bytes + align - 1) & ~(align - 1);
  uint64_t usable = (size + page - 1) / page * page + page; /* one more page for the header */
  char *base = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return NULL;
  if (mprotect(base + usable, page, PROT_NONE) != 0) {
    munmap(base, usable + page);
    return NULL;
  }
  char *memory = base + usable - size;
  guard_header header = {base, usable + page, bytes, size - bytes};
  memcpy(memory - sizeof header, &header, sizeof header); /* `memory` may be unaligned */
  memset(memory, 0xff, bytes);
  memset(memory + bytes, PADDING, size - bytes);
  return memory;
}

void attn_guard_free(void *memory, atomic_ullong *overruns) {
  if (!memory)
    return;
  guard_header header;
  memcpy(&header, (char *)memory - sizeof header, sizeof header);
  for (uint64_t i = 0; i < header.padding; ++i)
    if (((unsigned char *)memory)[header.bytes + i] != PADDING) {
      atomic_fetch_add(overruns, 1);
      break;
    }
  munmap(header.base, header.mapped);
}
