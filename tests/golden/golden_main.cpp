// golden_tests: GoogleTest's own arguments, or --table for the list of cases and which of them are tested.
#include <cstdio>
#include <exception>
#include <string>

#include "tests/golden/golden.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1 && std::string(argv[1]) == "--table") {
    try {
      osprey::golden::print_table();
      return 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "golden_tests: %s\n", e.what());
      return 1;
    }
  }
  return RUN_ALL_TESTS();
}
