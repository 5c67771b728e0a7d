//===- TemporaryDirectory.h - Files that live as long as a test -------------------------------------------===//
#ifndef ATTN_TEST_TEXT_TEMPORARYDIRECTORY_H
#define ATTN_TEST_TEXT_TEMPORARYDIRECTORY_H

#include "Fixtures.h"

#include <filesystem>
#include <stdlib.h>

namespace attn::text {

class TemporaryDirectory {
public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "attn-text-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(directory); }

  std::string path(const std::string &name = "") const { return directory + (name.empty() ? "" : "/" + name); }
  std::string write(const std::string &name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

private:
  std::string directory;
};

/// A tokenizer for the 16 ids of the fake model: id 0 is "<eos>", id 1 to 15 the letters a to o.
inline std::string letterTokenizer() {
  nlohmann::json content = {{"version", "1.0"},
                            {"added_tokens", {{{"id", 0}, {"content", "<eos>"}, {"special", true}}}},
                            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                            {"decoder", {{"type", "ByteLevel"}}},
                            {"model", {{"type", "BPE"}, {"merges", nlohmann::json::array()}}}};
  for (int i = 1; i < 16; ++i)
    content["model"]["vocab"][std::string(1, static_cast<char>('a' + i - 1))] = i;
  return content.dump();
}

} // namespace attn::text

#endif // ATTN_TEST_TEXT_TEMPORARYDIRECTORY_H
