// Checkpoints in the safetensors format: exact round trips, and one clear line for every kind of bad file.
#include "models/safetensors.h"

#include <cmath>
#include <cstring>

#include "core/file.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

std::string file_of(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

TEST(Safetensors, ComeBackAsTheyWere) {
  const Temporary folder;
  const std::vector<float> a = {1, -0.0f, INFINITY, 1e-42f, 3, 4}, b = {7};
  SafeTensors file;
  file.tensors["b"] = {{}, b.data(), {}};
  file.tensors["a/\"quoted\""] = {{2, 3}, a.data(), {}};
  file.tensors["empty"] = {{0, 5}, nullptr, {}};
  file.metadata = {{"format", "test"}, {"text", "a\n\"b\" \\ \xC3\xA9"}};
  const std::string path = folder / "x.safetensors";
  write_safetensors(path, file);
  const SafeTensors back = read_safetensors(path);
  EXPECT_EQ(back.metadata, file.metadata);
  ASSERT_EQ(back.tensors.size(), 3u);
  const SafeTensor& read = back.tensors.at("a/\"quoted\"");
  EXPECT_EQ(read.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(read.values.data(), a.data(), sizeof(float) * a.size()), 0);
  EXPECT_EQ(back.tensors.at("b").values, b);
  EXPECT_TRUE(back.tensors.at("empty").values.empty());
}

// As the format asks: eight bytes of length, JSON padded so that the data is aligned to eight.
TEST(Safetensors, LieAsTheFormatSays) {
  const Temporary folder;
  const float v[] = {1.5f, 2.5f};
  SafeTensors file;
  file.tensors["w"] = {{2}, v, {}};
  write_safetensors(folder / "x", file);
  const std::string bytes = read_file(folder / "x", "safetensors");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(bytes.size(), 8 + length + 8);
  expect_in(R"("w":{"data_offsets":[0,8],"dtype":"F32","shape":[2]})", bytes.substr(8, length));
  EXPECT_EQ(std::memcmp(bytes.data() + 8 + length, v, 8), 0);
}

TEST(Safetensors, BadFilesAreOneLineThatNamesTheFile) {
  const Temporary folder;
  const std::string whole = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not a safetensors file"},
      {"1234567", "not a safetensors file"},
      {std::string(8, '\xFF'), "not a safetensors file"},
      {file_of("{\"w\"", ""), "its header is not JSON"},
      {file_of("[1,2]", ""), "its header is not JSON"},
      {file_of(whole, std::string(7, 'x')), "was cut short: `w` ends at byte 8 of the data, which has 7"},
      {file_of(R"({"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "1234"),
       "`w` is \"F16\", expected F32"},
      {file_of(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "12345678"),
       "do not fit its shape"},
      {file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "12345678"),
       "do not fit its shape"},
      {file_of(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", "12345678"), "impossible shape"},
      {file_of(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "12345678"),
       "impossible shape"},
      {file_of(
           R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[9223372036854775807,-9223372036854775808]}})",
           "12345678"),
       "do not fit its shape"},
      {file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,1e300]}})", "12345678"),
       "do not fit its shape"},
      {file_of(R"({"w":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", "12345678"),
       "impossible shape"},
      {file_of(R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
               R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
               "12345678"),
       "`w` lies where another array is"},
      {file_of(R"({"w":{"dtype":"F32","shape":"two","data_offsets":[0,8]}})", "12345678"), "header"},
      {file_of(R"({"w":{"dtype":"F32"}})", ""), "header"},
      {file_of(R"({"w":5})", ""), "header"},
      {file_of(R"({"__metadata__":{"a":5}})", ""), "header"},
  };
  for (const auto& [bytes, message] : cases) {
    const std::string path = folder.write("bad", bytes);
    const std::string said = error_of([&] { read_safetensors(path); });
    expect_in(path, said);
    expect_in(message, said);
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
  expect_in("cannot be opened", error_of([&] { read_safetensors(folder / "none"); }));
}

// Any single cut or flipped bit gives a result or an Error, never a crash (run under sanitizers in CI).
TEST(Safetensors, DamagedFilesNeverCrash) {
  const Temporary folder;
  const float v[] = {1, 2, 3};
  SafeTensors file;
  file.tensors["w"] = {{3}, v, {}};
  file.metadata["k"] = "v";
  write_safetensors(folder / "x", file);
  const std::string bytes = read_file(folder / "x", "safetensors");
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = char(flipped[i] ^ (1 << i % 8));
    for (const std::string& content : {bytes.substr(0, i), flipped}) {
      const std::string path = folder.write("damaged", content);
      try {
        read_safetensors(path);
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace osprey
