//===- safetensors_fuzzer.cpp - Any bytes as a safetensors file ------------------------------===//
#include "frontend/Safetensors.h"

#include <cstdint>

using namespace attnc;

/// Reads every element of every tensor that the checks let through, plain and through views.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  WeightSet set;
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  if (llvm::Error error = set.add(llvm::MemoryBuffer::getMemBuffer(bytes, "f", /*RequiresNullTerminator=*/false))) {
    llvm::consumeError(std::move(error));
    return 0;
  }
  volatile char sink = 0;
  for (llvm::StringRef name : set.tensorNames())
    for (llvm::StringRef view : {"", "[0]", "[1]", "[0:1:2]", "[1:1:2]", "[,1:2:3]"}) {
      std::optional<TensorView> tensor = set.find((name + view).str());
      if (!tensor || !isFloat(tensor->dtype))
        continue;
      unsigned width = dtypeBytes(tensor->dtype);
      for (uint64_t i = 0, count = tensor->elements(); i < count; ++i)
        sink = tensor->data[tensor->storedIndex(i) * width + width - 1];
    }
  (void)sink;
  return 0;
}
