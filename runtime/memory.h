/* memory.h: allocators shared by the runtime's files. Private. */
#ifndef ATTN_RUNTIME_MEMORY_H
#define ATTN_RUNTIME_MEMORY_H

#include "attn_abi.h"
#include <stdatomic.h>

/* Aligned memory from the C library; the attn_host.alloc and free of hosts without their own. */
void *attn_plain_alloc(void *ctx, DLDevice device, uint64_t bytes, uint64_t align);
void attn_plain_free(void *ctx, DLDevice device, void *memory);

/* Memory that ends at an inaccessible page, filled with 0xff. Padding between the end of the allocation and the
 * page (fewer bytes than `align`) holds a pattern; guard_free adds 1 to *overruns when it has changed. */
void *attn_guard_alloc(uint64_t bytes, uint64_t align);
void attn_guard_free(void *memory, atomic_ullong *overruns);

/* Whether `host` fills and guards its memory: then arrays are not zeroed and align only to their element. */
int attn_host_guards(const attn_host *host);

/* The host's memory on the CPU. */
static inline void *attn_host_alloc(const attn_host *host, uint64_t bytes, uint64_t align) {
  return host->alloc(host->ctx, (DLDevice){kDLCPU, 0}, bytes, align);
}
static inline void attn_host_free(const attn_host *host, void *memory) {
  host->free(host->ctx, (DLDevice){kDLCPU, 0}, memory);
}

#endif /* ATTN_RUNTIME_MEMORY_H */
