// HTTP for one page needs little: the first line of a request is read, and the connection closed behind the
// answer.
#include "train/report/live_page.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace osprey {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestRequest = 16 * 1024;
constexpr size_t kMostSessions = 64;  // others wait until one has ended
constexpr auto kPatience = std::chrono::seconds(10);

constexpr const char* kWaiting =
    "<!DOCTYPE html><html><head><meta http-equiv=\"refresh\" content=\"3\"/></head>"
    "<body><p>The training has just begun.</p></body></html>";

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

class Page {
 public:
  void set(std::string html) {
    const std::lock_guard lock(mutex_);
    html_ = std::move(html);
  }
  std::string get() const {
    const std::lock_guard lock(mutex_);
    return html_;
  }

 private:
  mutable std::mutex mutex_;
  std::string html_ = kWaiting;
};

// To a whole request. The first line is "GET / HTTP/1.1".
std::string answer_to(std::string_view request, const Page& page) {
  const std::string_view line = request.substr(0, request.find("\r\n"));
  const size_t space = line.find(' '), second = line.find(' ', std::min(space, line.size()) + 1);
  const std::string_view method = line.substr(0, space);
  const bool understood = second != std::string_view::npos && line.substr(second + 1).starts_with("HTTP/1.");
  const bool known = understood && line.substr(space + 1, second - space - 1) == "/";
  const char* status = !understood                           ? "400 Bad Request"
                       : !known                              ? "404 Not Found"
                       : method == "GET" || method == "HEAD" ? "200 OK"
                                                             : "405 Method Not Allowed";
  const std::string body = known && method == "GET" ? page.get() : "";
  return fmt::format(
      "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: "
      "no-store\r\nContent-Length: {}\r\n\r\n{}",
      status, body.size(), body);
}

// One request and its answer.
class Session {
 public:
  explicit Session(Descriptor socket) : socket_(std::move(socket)) {}

  pollfd wants() const { return {socket_.get(), short(answer_.empty() ? POLLIN : POLLOUT), 0}; }
  bool expired() const { return Clock::now() > deadline_; }

  // Takes what there is, or sends what can be; false where the session has ended.
  bool go_on(const Page& page) {
    if (answer_.empty() && !receive(page)) return false;
    return answer_.empty() || send();
  }

 private:
  static bool later() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  bool receive(const Page& page) {
    char bytes[4096];
    const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (count <= 0) return count < 0 && later();
    request_.append(bytes, size_t(count));
    if (request_.find("\r\n\r\n") != std::string::npos)
      answer_ = answer_to(request_, page);
    else if (request_.size() > kLongestRequest)
      return false;
    return true;
  }

  bool send() {
    const ssize_t count = ::send(socket_.get(), answer_.data() + sent_, answer_.size() - sent_, MSG_NOSIGNAL);
    if (count < 0) return later();
    sent_ += size_t(count);
    if (sent_ < answer_.size()) return true;
    ::shutdown(socket_.get(), SHUT_WR);
    return false;
  }

  Descriptor socket_;
  std::string request_, answer_;
  size_t sent_ = 0;
  Clock::time_point deadline_ = Clock::now() + kPatience;
};

// Listens at an address of IPv4 or IPv6; errno says why where it cannot.
Descriptor listen_at(const std::string& host, int port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(uint16_t(port));
  const bool is_v4 = ::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  errno = EINVAL;
  if (!is_v4 && ::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return Descriptor();
  Descriptor listener(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  const sockaddr* address = is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  if (listener.get() < 0 || ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
      ::bind(listener.get(), address, is_v4 ? sizeof v4 : sizeof v6) < 0 ||
      ::listen(listener.get(), SOMAXCONN) < 0)
    return Descriptor();
  return listener;
}

}  // namespace

struct LivePage::Server {
  Page page;
  Descriptor listener, end;  // the latter can be read from once the server is to end
  std::vector<Session> sessions;
  std::thread thread;

  void run() {
    for (;;) {
      std::vector<pollfd> waited = {{end.get(), POLLIN, 0},
                                    {listener.get(), short(sessions.size() < kMostSessions ? POLLIN : 0), 0}};
      for (const Session& session : sessions) waited.push_back(session.wants());
      constexpr int kMilliseconds = 1000;  // then sessions that have expired are found
      if (::poll(waited.data(), waited.size(), kMilliseconds) < 0 && errno != EINTR) return;
      if (waited[0].revents) return;
      std::vector<Session> alive;
      for (size_t i = 0; i < sessions.size(); ++i)
        if ((!waited[i + 2].revents || sessions[i].go_on(page)) && !sessions[i].expired())
          alive.push_back(std::move(sessions[i]));
      sessions = std::move(alive);
      if (!waited[1].revents) continue;
      Descriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.get() >= 0) sessions.emplace_back(std::move(socket));
    }
  }
};

LivePage::LivePage(const std::string& host, int port) : server_(std::make_unique<Server>()) {
  server_->listener = listen_at(host, port);
  if (server_->listener.get() >= 0) server_->end = Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (server_->end.get() < 0)
    fail("the page of the training cannot be served at {}:{}: {}", host, port, std::strerror(errno));
  server_->thread = std::thread([server = server_.get()] { server->run(); });
}

LivePage::~LivePage() {
  ::eventfd_write(server_->end.get(), 1);
  server_->thread.join();
}

int LivePage::port() const {
  sockaddr_in6 address{};  // which is larger than that of IPv4, and has its port in the same place
  socklen_t size = sizeof address;
  ::getsockname(server_->listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin6_port);
}

void LivePage::show(std::string html) { server_->page.set(std::move(html)); }

}  // namespace osprey
