//===- Streams.cpp - Work that waits to be synchronised with -------------------------------------===//
#include "test/cuda/emulator/Streams.h"
#include "test/cuda/emulator/Memory.h"

#include <algorithm>

namespace emulator {

static Stream legacy, perThread; // one thread at a time calls the driver: see Driver.cpp's lock
static std::vector<std::unique_ptr<Stream>> created;
static CUresult sticky = CUDA_SUCCESS;
static uint64_t enqueued = 0;

CUresult stickyError() { return sticky; }
void setStickyError(CUresult result) {
  if (sticky == CUDA_SUCCESS)
    sticky = result;
}

Stream *findStream(CUstream handle) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number <= 1)
    return &legacy;
  if (number == 2)
    return &perThread;
  for (auto &stream : created)
    if (stream.get() == handle)
      return handle;
  return nullptr;
}

Stream *createStream(bool blocking) {
  created.push_back(std::make_unique<Stream>());
  created.back()->blocking = blocking;
  return created.back().get();
}

CUresult destroyStream(Stream *stream) {
  const CUresult result = synchronize(*stream);
  created.erase(std::remove_if(created.begin(), created.end(), [&](auto &other) { return other.get() == stream; }),
                created.end());
  return result;
}

void enqueue(Stream &stream, Work work) {
  if (stream.capture)
    stream.capture->works.push_back(std::move(work));
  else
    stream.queue.push_back({enqueued++, std::move(work)});
}

static void runBefore(Stream &stream, uint64_t number);

/// The first entry of a queue, after what it waits for in other streams.
static void runFirst(Stream &stream) {
  Stream::Entry entry = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (&stream == &legacy) {
    runBefore(perThread, entry.number);
    for (auto &other : created)
      if (other->blocking)
        runBefore(*other, entry.number);
  } else if (stream.blocking) {
    runBefore(legacy, entry.number);
  }
  if (sticky == CUDA_SUCCESS)
    setStickyError(entry.work());
}

static void runBefore(Stream &stream, uint64_t number) {
  if (stream.queue.empty())
    return;
  DeviceAccess access;
  while (!stream.queue.empty() && stream.queue.front().number < number)
    runFirst(stream);
}

CUresult synchronize(Stream &stream) {
  runBefore(stream, UINT64_MAX);
  return sticky;
}

CUresult synchronizeAll() {
  synchronize(legacy);
  synchronize(perThread);
  for (auto &stream : created)
    synchronize(*stream);
  return sticky;
}

CUresult reach(const std::shared_ptr<Marker> &marker) {
  DeviceAccess access;
  Stream *stream = marker->stream;
  while (!marker->reached && !stream->queue.empty())
    runFirst(*stream);
  return sticky;
}

bool progress(Stream &stream) {
  DeviceAccess access;
  if (!stream.queue.empty())
    runFirst(stream);
  return !stream.queue.empty();
}

void resetStreams() {
  legacy.queue.clear();
  perThread.queue.clear();
  created.clear();
  sticky = CUDA_SUCCESS;
}

} // namespace emulator
