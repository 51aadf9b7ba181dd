// What the targets share. A target is a file of this folder that feeds bytes to one reader of files:
// libFuzzer calls its LLVMFuzzerTestOneInput() with what it makes up, corpus_main.cpp with what is in
// corpus/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace osprey {

// A file with these bytes, gone with this object. Readers that choose by a file's name can be given one.
class ForeignFile {
 public:
  explicit ForeignFile(std::string_view bytes, const std::string& name = "");
  ~ForeignFile();
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_, link_;
};

inline std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// An Error is the right answer to a bad file, if it is one line. Whatever else is thrown ends the program.
template <class Read>
void answered(Read&& read) {
  try {
    read();
  } catch (const Error& e) {
    if (std::string_view(e.what()).find('\n') != std::string_view::npos)
      throw std::logic_error(std::string("not one line: ") + e.what());
  }
}

}  // namespace osprey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);
