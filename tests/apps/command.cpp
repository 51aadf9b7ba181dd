#include "tests/apps/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "core/file.h"
#include "tests/data/temporary.h"

namespace osprey {

pid_t start_osprey(const std::vector<std::string>& arguments, const std::string& out, const std::string& err,
                   const std::string& in) {
  std::vector<char*> argv = {const_cast<char*>(OSPREY_COMMAND)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(::open(in.c_str(), O_RDONLY), 0);
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int wait_for(pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Said osprey_command(const std::vector<std::string>& arguments, const std::string& in) {
  const Temporary folder;
  Said said;
  said.status = wait_for(start_osprey(arguments, folder / "out", folder / "err", folder.write("in", in)));
  said.out = read_file(folder / "out", "output");
  said.err = read_file(folder / "err", "output");
  return said;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && !line.starts_with("warning: ")) lines.push_back(line);
  return lines;
}

void expect_refused(const std::vector<std::string>& arguments, const std::string& part) {
  std::string shown;
  for (const std::string& a : arguments) shown += a + " ";
  SCOPED_TRACE(shown);
  const Said said = osprey_command(arguments);
  EXPECT_EQ(said.status, 1) << said.err;
  int complaints = 0;
  for (const std::string& line : lines_of(said.err)) complaints += line.starts_with("osprey: ");
  EXPECT_EQ(complaints, 1) << said.err;
  const std::vector<std::string> lines = lines_of(said.err);
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(lines.back().starts_with("osprey: ")) << said.err;
  EXPECT_EQ(lines.back().find("internal error"), std::string::npos) << said.err;
  expect_in(part, lines.back());
}

}  // namespace osprey
