//===- Problems.h - Errors and hostile text, shared by all readers -----------------------===//
#ifndef ATTNC_FRONTEND_PROBLEMS_H
#define ATTNC_FRONTEND_PROBLEMS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <string>
#include <vector>

namespace attnc {

llvm::Error fail(const llvm::Twine &message);

/// `text` in single quotes, shortened, with control characters escaped: names from a file may hold anything.
std::string quoted(llvm::StringRef text);

/// "[2, 3]", and "?" for a dynamic dimension.
std::string shapeText(llvm::ArrayRef<int64_t> shape);

/// Collects problems so that a user sees them together: one line each, at most 20, then "and more".
class Problems {
public:
  void add(const llvm::Twine &problem);
  bool empty() const { return total == 0; }
  /// Whether more would not be shown.
  bool isFull() const;
  /// All lines, each after `prefix` and a colon, or success; forgets them.
  llvm::Error take(llvm::StringRef prefix);

private:
  std::vector<std::string> lines;
  size_t total = 0;
};

/// Maps a regular file; refuses directories, pipes and devices.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> mapFile(const llvm::Twine &path);

/// Parses JSON that nobody vouches for: nesting is bounded (llvm::json recurses), and a key that stands twice in one
/// object is an error. Messages begin with `where`, usually the file's path.
llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef text, llvm::StringRef where);

/// Members sorted by key: llvm::json's own order differs from run to run.
std::vector<std::pair<llvm::StringRef, const llvm::json::Value *>> sortedMembers(const llvm::json::Object &object);

/// Reads and parses a JSON file of at most 100 MB.
llvm::Expected<llvm::json::Value> readJson(llvm::StringRef path);

} // namespace attnc

#endif // ATTNC_FRONTEND_PROBLEMS_H
