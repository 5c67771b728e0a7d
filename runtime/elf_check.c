/* elf_check.c: a model file's outline, read before it is loaded. */
#define _GNU_SOURCE
#include "elf_check.h"
#include "attn_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <elf.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#elif defined(__riscv)
#define MACHINE EM_RISCV
#endif

static const char *machine_name(uint16_t machine) {
  switch (machine) {
  case EM_X86_64: return "x86-64";
  case EM_AARCH64: return "aarch64";
  case EM_RISCV: return "riscv64";
  default: return "another";
  }
}

static int read_at(int fd, void *memory, size_t bytes, uint64_t offset) {
  return pread(fd, memory, bytes, (off_t)offset) == (ssize_t)bytes;
}

static int32_t check_segments(int fd, const char *path, uint64_t file_bytes, attn_error *error) {
  Elf64_Ehdr h;
  if (!read_at(fd, &h, sizeof h, 0) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
      h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_type != ET_DYN)
    return attn_fail(error, ATTN_INVALID_ARGUMENT, "'%s' is not a model file: expected a 64-bit shared library", path);
#ifdef MACHINE
  if (h.e_machine != MACHINE)
    return attn_fail(error, ATTN_CPU_UNSUPPORTED, "'%s' is for another processor: expected %s, got %s (ELF machine %u)",
                     path, machine_name(MACHINE), machine_name(h.e_machine), h.e_machine);
#endif
  if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is damaged: no program headers", path);
  for (uint32_t i = 0; i < h.e_phnum; ++i) {
    Elf64_Phdr p;
    uint64_t at, end;
    if (__builtin_add_overflow(h.e_phoff, (uint64_t)i * sizeof p, &at) || at > file_bytes ||
        !read_at(fd, &p, sizeof p, at))
      return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is truncated: its program headers are missing", path);
    if (p.p_type != PT_LOAD && p.p_type != PT_DYNAMIC)
      continue;
    if (__builtin_add_overflow(p.p_offset, p.p_filesz, &end) || end > file_bytes)
      return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is truncated: expected at least %llu bytes, got %llu", path,
                       (unsigned long long)end, (unsigned long long)file_bytes);
  }
  return ATTN_OK;
}
#endif

int32_t attn_elf_check(const char *path, attn_error *error) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  int32_t status = ATTN_OK;
  if (fd < 0 || fstat(fd, &info) != 0)
    status = attn_fail(error, ATTN_IO, "could not open '%s': %s", path, strerror(errno));
  else if (!S_ISREG(info.st_mode))
    status = attn_fail(error, ATTN_IO, "could not open '%s': not a file", path);
#ifdef __linux__
  else
    status = check_segments(fd, path, (uint64_t)info.st_size, error);
#endif
  if (fd >= 0)
    close(fd);
  return status;
}
