/* elf_check.h: private to file.c. */
#ifndef ATTN_RUNTIME_ELF_CHECK_H
#define ATTN_RUNTIME_ELF_CHECK_H

#include "attn_abi.h"

/* Checks what dlopen does not: that every segment of the shared library `path` lies within the file. (dlopen
 * maps a truncated file without complaint; the first access behind its end is then a bus error.) Does nothing
 * on systems without ELF beyond opening the file. */
int32_t attn_elf_check(const char *path, attn_error *error);

#endif /* ATTN_RUNTIME_ELF_CHECK_H */
