// Images that are named on the command line or, as scripts for Darknet do it, one a line on stdin.
#pragma once

#include <functional>
#include <string>

namespace osprey::darknet {

// Calls use(path) for `image` or, where it is empty, for what is typed behind "Enter Image Path: " until
// there is no more. Of the latter those that `use` cannot read are told, and what is returned says how many;
// it is empty where all went well.
std::string for_images(const std::string& image, const std::function<void(const std::string&)>& use);

}  // namespace osprey::darknet
