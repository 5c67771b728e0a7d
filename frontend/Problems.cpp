//===- Problems.cpp - Errors and hostile text, shared by all readers ---------------------===//
#include "frontend/Problems.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace attnc {

namespace {
constexpr size_t kMaxLines = 20, kMaxQuoted = 200, kMaxDepth = 64;
constexpr uint64_t kMaxJson = 100'000'000;

/// The system's text for `code`, in our style: lowercase.
std::string systemText(std::error_code code) {
  std::string text = code.message();
  if (!text.empty())
    text[0] = llvm::toLower(text[0]);
  return text;
}

/// The string token at `text[begin]`, with its quotes; empty if it does not end.
llvm::StringRef stringToken(llvm::StringRef text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return text.slice(begin, i + 1);
  }
  return {};
}

std::string decodeKey(llvm::StringRef token) {
  if (token.contains('\\')) {
    if (llvm::Expected<llvm::json::Value> key = llvm::json::parse(token)) {
      if (std::optional<llvm::StringRef> text = key->getAsString())
        return text->str();
    } else {
      llvm::consumeError(key.takeError());
    }
  }
  return token.drop_front().drop_back().str();
}

/// Depth and repeated keys, in one pass without recursion. Anything else that is wrong is left to the parser.
llvm::Error checkStructure(llvm::StringRef text, llvm::StringRef where) {
  std::vector<llvm::StringSet<>> open; // keys of every open object; empty for arrays
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case '{':
    case '[':
      if (open.size() == kMaxDepth)
        return fail(where + ": expected JSON nested at most " + llvm::Twine(kMaxDepth) + " deep, got more at byte " +
                    llvm::Twine(i));
      open.emplace_back();
      break;
    case '}':
    case ']':
      if (!open.empty())
        open.pop_back();
      break;
    case '"': {
      llvm::StringRef token = stringToken(text, i);
      if (token.empty())
        return llvm::Error::success();
      i += token.size() - 1;
      if (open.empty() || !text.drop_front(i + 1).ltrim(" \t\r\n").starts_with(":"))
        break;
      std::string key = decodeKey(token);
      if (!open.back().insert(key).second)
        return fail(where + ": expected every key once, got " + quoted(key) + " twice");
      break;
    }
    default:
      break;
    }
  }
  return llvm::Error::success();
}
} // namespace

llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

std::string quoted(llvm::StringRef text) {
  std::string result;
  llvm::raw_string_ostream os(result);
  os << '\'';
  llvm::printEscapedString(text.take_front(kMaxQuoted), os);
  os << (text.size() > kMaxQuoted ? "...'" : "'");
  return result;
}

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << '[';
  llvm::interleaveComma(shape, os, [&](int64_t size) {
    mlir::ShapedType::isDynamic(size) ? (void)(os << "?") : (void)(os << size);
  });
  os << ']';
  return text;
}

void Problems::add(const llvm::Twine &problem) {
  if (++total <= kMaxLines)
    lines.push_back(problem.str());
}

bool Problems::isFull() const { return total >= kMaxLines; }

llvm::Error Problems::take(llvm::StringRef prefix) {
  if (empty())
    return llvm::Error::success();
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleave(lines, os, [&](const std::string &line) { os << prefix << ": " << line; }, "\n");
  if (total > lines.size())
    os << "\n" << prefix << ": and more";
  lines.clear();
  total = 0;
  return fail(text);
}

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> mapFile(const llvm::Twine &path) {
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return fail("cannot open " + path + ": " + systemText(code));
  if (!llvm::sys::fs::is_regular_file(status)) // a pipe or device could block, or never end
    return fail("cannot open " + path + ": expected a regular file");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fail("cannot open " + path + ": " + systemText(buffer.getError()));
  return std::move(*buffer);
}

llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef text, llvm::StringRef where) {
  if (llvm::Error error = checkStructure(text, where))
    return std::move(error);
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value)
    return fail(where + ": invalid JSON: " + llvm::toString(value.takeError()));
  return value;
}

std::vector<std::pair<llvm::StringRef, const llvm::json::Value *>> sortedMembers(const llvm::json::Object &object) {
  std::vector<std::pair<llvm::StringRef, const llvm::json::Value *>> members;
  for (const auto &[key, value] : object)
    members.emplace_back(key, &value);
  llvm::sort(members);
  return members;
}

llvm::Expected<llvm::json::Value> readJson(llvm::StringRef path) {
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  if ((*buffer)->getBufferSize() > kMaxJson)
    return fail(path + ": expected at most " + llvm::Twine(kMaxJson) + " bytes, got " +
                llvm::Twine((*buffer)->getBufferSize()));
  return parseJson((*buffer)->getBuffer(), path);
}

} // namespace attnc
