//===- Streams.h - Work that waits to be synchronised with ---------------------------------------===//
//
// Nothing that is enqueued happens before somebody waits for it: a synchronisation that a program forgot shows in its
// results.
//===--------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_STREAMS_H
#define ATTN_TEST_CUDA_STREAMS_H

#include "test/cuda/emulator/Driver.h"

#include <deque>
#include <functional>
#include <memory>
#include <vector>

using Work = std::function<CUresult()>;

/// Work in the order in which it is done.
struct Graph {
  std::vector<Work> works;
};

struct GraphExec {
  std::vector<Work> works;
};

/// A point in a stream.
struct Marker {
  Stream *stream;
  bool reached = false;
};

struct Event {
  std::shared_ptr<Marker> marker; ///< null: not recorded yet
  double time = 0;                ///< in milliseconds, when it was reached
};

struct Stream {
  struct Entry {
    uint64_t number; ///< counts everything ever enqueued
    Work work;
  };
  bool blocking = true; ///< waits for the legacy default stream, which waits for it
  std::deque<Entry> queue;
  std::unique_ptr<Graph> capture; ///< records instead
};

namespace emulator {

/// The stream of a handle: null and 1 are the legacy default stream, 2 the calling thread's. Null: not a stream.
Stream *findStream(CUstream handle);
Stream *createStream(bool blocking);
/// Waits for its work and deletes it.
CUresult destroyStream(Stream *stream);

/// At the end of the stream's queue, or of the graph that it captures.
void enqueue(Stream &stream, Work work);
/// Does the stream's work; the first failure ends it and stays.
CUresult synchronize(Stream &stream);
CUresult synchronizeAll();
/// Does work until the marker is reached.
CUresult reach(const std::shared_ptr<Marker> &marker);
/// Does one piece of work; true: there is more.
bool progress(Stream &stream);

/// Result of every call after a kernel has failed, until the context is reset.
CUresult stickyError();
void setStickyError(CUresult result);
/// Drops all work and errors.
void resetStreams();

} // namespace emulator

#endif // ATTN_TEST_CUDA_STREAMS_H
