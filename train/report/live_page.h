// One page, served over HTTP while a training runs.
#pragma once

#include <memory>
#include <string>

namespace osprey {

class LivePage {
 public:
  // Listens until it is destroyed, in a thread of its own. Port 0: any free one. `host` is an address of this
  // machine: 127.0.0.1 for its own users alone, 0.0.0.0 for everybody who reaches it. Error: it cannot be
  // had.
  LivePage(const std::string& host, int port);
  ~LivePage();
  int port() const;

  // What GET / answers from now on; before the first call it asks for patience. Any other path is 404.
  void show(std::string html);

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

}  // namespace osprey
