//===- Memory.cpp - Device memory ---------------------------------------------------------------===//
#include "test/cuda/emulator/Memory.h"
#include "test/cuda/emulator/Machine.h"

#include <cstring>
#include <iterator>
#include <sys/mman.h>
#include <unistd.h>

namespace emulator {

namespace {
struct Mapping {
  char *memory; ///< a page that faults, [pattern], the allocation, [pattern], a page that faults
  uint64_t mappedBytes, bytes;
};
} // namespace
static std::map<char *, Mapping> mappings; ///< by where the allocation begins
static uint64_t used = 0;
static unsigned accesses = 0; ///< DeviceAccess objects
static constexpr unsigned char pattern = 0xa5;
static uint64_t pageBytes() { return uint64_t(sysconf(_SC_PAGESIZE)); }
static uint64_t roundUp(uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

void *allocateDevice(uint64_t bytes) {
  if (bytes > uint64_t(1) << 40)
    return nullptr;
  const uint64_t page = pageBytes(), slot = roundUp(bytes, 256), mapped = roundUp(slot, page) + 2 * page;
  void *memory = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  char *inside = static_cast<char *>(memory) + page, *end = static_cast<char *>(memory) + mapped - page;
  if (mprotect(inside, end - inside, PROT_READ | PROT_WRITE)) {
    munmap(memory, mapped);
    return nullptr;
  }
  char *begin = end - slot;
  memset(inside, pattern, begin - inside);
  memset(begin, poison, bytes);
  memset(begin + bytes, pattern, slot - bytes);
  if (!accesses)
    mprotect(inside, end - inside, PROT_NONE);
  mappings[begin] = {static_cast<char *>(memory), mapped, bytes};
  used += bytes;
  return begin;
}

bool freeDevice(void *memory) {
  auto found = mappings.find(static_cast<char *>(memory));
  if (found == mappings.end())
    return false;
  used -= found->second.bytes;
  munmap(found->second.memory, found->second.mappedBytes);
  mappings.erase(found);
  return true;
}

uint64_t usedDeviceBytes() { return used; }

static void protectAll(int protection) {
  for (auto &[begin, mapping] : mappings)
    mprotect(mapping.memory + pageBytes(), mapping.mappedBytes - 2 * pageBytes(), protection);
}
DeviceAccess::DeviceAccess() {
  if (!accesses++)
    protectAll(PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
  if (!--accesses)
    protectAll(PROT_NONE);
}

/// The last allocation that begins at or before `address`.
static std::map<char *, Mapping>::iterator before(const void *address) {
  auto next = mappings.upper_bound(static_cast<char *>(const_cast<void *>(address)));
  return next == mappings.begin() ? mappings.end() : std::prev(next);
}

Allocation findAllocation(const void *address, uint64_t bytes) {
  auto found = before(address);
  if (found == mappings.end())
    return {};
  const uint64_t offset = static_cast<const char *>(address) - found->first;
  if (offset > found->second.bytes || bytes > found->second.bytes - offset)
    return {};
  return {found->first, found->second.bytes};
}

std::string describeAddress(const void *address) {
  const char *byte = static_cast<const char *>(address);
  auto found = before(address);
  if (found != mappings.end()) {
    const uint64_t offset = byte - found->first, bytes = found->second.bytes;
    if (offset < bytes)
      return std::to_string(offset) + " bytes into an allocation of " + std::to_string(bytes) + " bytes";
    if (offset - bytes < (1 << 20))
      return std::to_string(offset - bytes) + " bytes after the end of an allocation of " + std::to_string(bytes) +
             " bytes";
  }
  auto next = mappings.upper_bound(const_cast<char *>(byte));
  if (next != mappings.end() && next->first - byte < (1 << 20))
    return std::to_string(next->first - byte) + " bytes before an allocation of " + std::to_string(next->second.bytes) +
           " bytes";
  return "in no allocation";
}

std::string checkAround() {
  for (auto &[begin, mapping] : mappings) {
    char *inside = mapping.memory + pageBytes(), *end = mapping.memory + mapping.mappedBytes - pageBytes();
    auto check = [&](char *from, char *to) -> char * {
      for (char *byte = from; byte != to; ++byte)
        if (static_cast<unsigned char>(*byte) != pattern)
          return byte;
      return nullptr;
    };
    char *changed = check(begin + mapping.bytes, end);
    if (!changed)
      changed = check(inside, begin);
    if (!changed)
      continue;
    std::string text = describeAddress(changed);
    memset(inside, pattern, begin - inside);
    memset(begin + mapping.bytes, pattern, end - begin - mapping.bytes);
    return text;
  }
  return {};
}

} // namespace emulator
