//===- Modules.cpp - Kernels by their PTX's names -----------------------------------------------===//
#include "test/cuda/emulator/Modules.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace emulator {

/// Images call back into this library, wherever its user loaded it.
static void exportOurselves() {
  static const bool once = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<void *>(&loadModule), &info) &&
           dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  }();
  (void)once;
}

static const Image *openImage(const char *path, std::string &message) {
  exportOurselves();
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    message = std::string("cannot load the image: ") + dlerror();
    return nullptr;
  }
  auto *image = static_cast<const Image *>(dlsym(library, "attn_emulator_image"));
  if (!image || image->version != imageVersion) {
    message = std::string("not an image of this version of attn-emulate: ") + path;
    dlclose(library);
    return nullptr;
  }
  return image;
}

/// Of a shared object in memory: its section headers are at the end.
static uint64_t elfBytes(const void *data) {
  Elf64_Ehdr header;
  memcpy(&header, data, sizeof header);
  return header.e_shoff + uint64_t(header.e_shnum) * header.e_shentsize;
}

static const Image *openBytes(const void *data, std::string &message) {
  const int file = memfd_create("image", MFD_CLOEXEC);
  const uint64_t bytes = elfBytes(data);
  uint64_t written = 0;
  while (file >= 0 && written < bytes) {
    const ssize_t count = write(file, static_cast<const char *>(data) + written, bytes - written);
    if (count <= 0)
      break;
    written += uint64_t(count);
  }
  const Image *image = nullptr;
  if (written == bytes)
    image = openImage(("/proc/self/fd/" + std::to_string(file)).c_str(), message);
  else
    message = "cannot write a temporary file for the image";
  if (!image && file >= 0)
    close(file);
  return image; // the file stays open: the loader takes a second one of the same name for the first
}

/// The images of ATTN_EMULATOR_IMAGES, each loaded once per process.
static std::vector<const Image *> imagesOfEnvironment(std::string &message) {
  static std::map<std::string, const Image *> loaded;
  std::vector<const Image *> images;
  const char *variable = getenv("ATTN_EMULATOR_IMAGES");
  std::string_view paths = variable ? variable : "";
  while (!paths.empty()) {
    const size_t end = std::min(paths.find(':'), paths.size());
    const std::string path(paths.substr(0, end));
    paths.remove_prefix(std::min(end + 1, paths.size()));
    if (path.empty())
      continue;
    const Image *&image = loaded[path];
    if (!image)
      image = openImage(path.c_str(), message);
    if (image)
      images.push_back(image);
  }
  return images;
}

/// What follows `keyword` in PTX, up to a character that no name has.
static std::string_view wordAfter(std::string_view text, std::string_view keyword, size_t &from) {
  size_t place = text.find(keyword, from);
  if (place == std::string_view::npos) {
    from = place;
    return {};
  }
  place = text.find_first_not_of(" \t\n", place + keyword.size());
  if (place == std::string_view::npos) {
    from = place;
    return {};
  }
  from = std::min(text.find_first_of(" \t\r\n(,;", place), text.size());
  return text.substr(place, from - place);
}

namespace {
/// A kernel of PTX.
struct Entry {
  std::string name;
  uint64_t parameters;
};
} // namespace

static std::vector<Entry> entriesOf(std::string_view text) {
  std::vector<Entry> entries;
  for (size_t from = 0;;) {
    std::string name(wordAfter(text, ".entry ", from));
    if (from == std::string_view::npos)
      return entries;
    const std::string_view signature = text.substr(from, std::min(text.find(')', from), text.size()) - from);
    uint64_t parameters = 0;
    for (size_t place = 0; (place = signature.find(".param", place)) != std::string_view::npos; ++place)
      ++parameters;
    entries.push_back({std::move(name), parameters});
  }
}

/// The entries' kernels of one image; or why it is not that of the PTX.
static std::string takeKernels(const Image &image, const std::string &chip, const std::vector<Entry> &entries,
                               Module &module) {
  module.functions.clear();
  for (const Entry &entry : entries) {
    Function function;
    for (uint64_t i = 0; i < image.kernelCount; ++i)
      if (entry.name == image.kernels[i].name && (!*image.chip || chip == image.chip))
        function.kernel = &image.kernels[i];
    if (!function.kernel)
      return "no image of ATTN_EMULATOR_IMAGES has kernel '" + entry.name + "' for " + chip;
    if (function.kernel->parameterCount != entry.parameters)
      return "kernel '" + entry.name + "': the PTX has " + std::to_string(entry.parameters) + " parameters, the image " +
             std::to_string(function.kernel->parameterCount);
    module.functions[entry.name] = function;
  }
  return "";
}

static CUresult loadPtx(std::string_view text, Module &module, std::string &message) {
  size_t from = 0;
  const std::string chip(wordAfter(text, ".target ", from));
  if (text.find(".version ") == std::string_view::npos || chip.rfind("sm_", 0) != 0) {
    message = "expected PTX, which has .version and .target, or an image";
    return CUDA_ERROR_INVALID_PTX;
  }
  const int capability = computeCapability(), needed = atoi(chip.c_str() + 3);
  const bool exact = chip.back() == 'a'; // code for one architecture only
  if (exact ? needed != capability : needed > capability) {
    message = "PTX for " + chip + " does not run on compute capability " + std::to_string(capability / 10) + "." +
              std::to_string(capability % 10);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  const std::vector<const Image *> images = imagesOfEnvironment(message);
  if (!message.empty())
    return CUDA_ERROR_INVALID_IMAGE;
  const std::vector<Entry> entries = entriesOf(text);
  message = "ATTN_EMULATOR_IMAGES names no image";
  for (const Image *image : images) // several models may have kernels of one name
    if ((message = takeKernels(*image, chip, entries, module)).empty())
      return CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_IMAGE;
}

CUresult loadModule(const void *data, Module &module, std::string &message) {
  if (memcmp(data, ELFMAG, SELFMAG))
    return loadPtx(static_cast<const char *>(data), module, message);
  const Image *image = openBytes(data, message);
  if (!image)
    return CUDA_ERROR_INVALID_IMAGE;
  for (uint64_t i = 0; i < image->kernelCount; ++i)
    module.functions[image->kernels[i].name].kernel = &image->kernels[i];
  return CUDA_SUCCESS;
}

} // namespace emulator
