// NumPy's .npz files: a ZIP archive of .npy files, one for each array, as numpy.savez writes it.
// Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/npy.h"

namespace osprey {

// The arrays in the order of the archive, by their names without ".npy". Throws Error: no such file, no ZIP
// archive, damaged, compressed entries (numpy.savez_compressed), archives beyond 4 GiB, or what read_npy()
// refuses.
std::vector<std::pair<std::string, Array>> read_npz(const std::string& path);

}  // namespace osprey
