//===- Memory.h - Device memory -----------------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_MEMORY_H
#define ATTN_TEST_CUDA_MEMORY_H

#include <cstdint>
#include <string>

namespace emulator {

/// Memory that begins at a multiple of 256 and ends, but for the rest of 256 bytes, where a page begins that faults. It
/// is poisoned. The bytes around it hold a pattern. nullptr: there is no more.
void *allocateDevice(uint64_t bytes);
/// False if `memory` is not the beginning of an allocation.
bool freeDevice(void *memory);
uint64_t usedDeviceBytes();

/// While one exists, device memory can be accessed; otherwise it faults, as it does for a host.
class DeviceAccess {
public:
  DeviceAccess();
  ~DeviceAccess();
};

struct Allocation {
  char *begin = nullptr;
  uint64_t bytes = 0;
};
/// The allocation that holds [address, address + bytes), or an empty one.
Allocation findAllocation(const void *address, uint64_t bytes);
/// Where `address` lies, in words: "4 bytes after the end of an allocation of 400 bytes".
std::string describeAddress(const void *address);
/// Says which bytes around an allocation have changed since the last call; empty: none.
std::string checkAround();

} // namespace emulator

#endif // ATTN_TEST_CUDA_MEMORY_H
