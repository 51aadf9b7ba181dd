#include "core/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace osprey {
namespace {

class Npy : public testing::Test {
 protected:
  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("npy_test_" + std::to_string(::getpid()) + ".npy")).string();
  void TearDown() override { std::remove(path_.c_str()); }

  // Writes a version 1.0 file with this header and these bytes.
  void write(const std::string& header, const std::string& data) {
    std::ofstream file(path_, std::ios::binary);
    file << std::string("\x93NUMPY\x01\x00", 8) << char(header.size()) << '\0' << header << data;
  }
  std::string message() {
    try {
      read_npy(path_);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
};

TEST_F(Npy, reads_what_it_wrote) {
  const std::vector<float> values{1, -2.5f, 3, 4, 5, 6e10f};
  write_npy(path_, values.data(), {2, 1, 3});
  const Array array = read_npy(path_);
  EXPECT_EQ(array.shape, (std::vector<int>{2, 1, 3}));
  EXPECT_EQ(array.type, "<f4");
  EXPECT_EQ(array.floats(), values);
  EXPECT_EQ(std::filesystem::file_size(path_) % 64, 6 * 4u);  // the data begins where NumPy would have it
}

TEST_F(Npy, reads_scalars_and_empty_arrays) {
  write("{'descr': '<i4', 'fortran_order': False, 'shape': (), }", std::string("\x07\x00\x00\x00", 4));
  EXPECT_EQ(read_npy(path_).ints(), std::vector<int>{7});
  write("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }", "");
  EXPECT_TRUE(read_npy(path_).doubles().empty());
  EXPECT_EQ(read_npy(path_).shape, (std::vector<int>{0, 4}));
}

TEST_F(Npy, reads_bytes_without_their_sign) {
  write("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", "\xff\x01");
  EXPECT_EQ(read_npy(path_).ints(), (std::vector<int>{255, 1}));
}

TEST_F(Npy, refuses_in_one_line) {
  EXPECT_NE(message().find("cannot open"), std::string::npos);
  std::ofstream(path_) << "P6 10 10";
  EXPECT_NE(message().find("not a .npy file"), std::string::npos);
  write("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "1234");
  EXPECT_NE(message().find("Fortran"), std::string::npos);
  write("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234");
  EXPECT_NE(message().find("big-endian"), std::string::npos);
  write("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "1234");
  EXPECT_NE(message().find("type |O"), std::string::npos);
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234");
  EXPECT_NE(message().find("truncated"), std::string::npos);
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647), }", "1234");
  EXPECT_NE(message().find("expected"), std::string::npos);
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "1234");
  EXPECT_NE(message().find("shape (-2,)"), std::string::npos);
  write("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234");
  EXPECT_NE(message().find("records"), std::string::npos);
}

TEST_F(Npy, refuses_every_truncation) {
  const std::vector<float> values(5);
  write_npy(path_, values.data(), {5});
  std::ifstream file(path_, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(path_, std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(read_npy(path_), Error) << size << " of " << whole.size() << " bytes";
  }
}

TEST_F(Npy, integers_are_never_rounded) {
  const float half = 0.5f;
  write_npy(path_, &half, {1});
  EXPECT_THROW(read_npy(path_).ints(), Error);
}

}  // namespace
}  // namespace osprey
