# shellcheck shell=bash disable=SC2154,SC2016
# The laboratory behind `record`: one small network per scenario, made of network namespaces, with a router in the
# middle on which the traffic is captured and exported. Sourced by `record`; it never touches the host's own network,
# clock or accounts (every service runs in a private mount namespace over temporary files).
#
#   inside                      router                       outside
#   10.20.0.0/24, fd20::/64 ──[lan]──┬──[wan]── 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/64
#   10.20.1.0/24 (routed) ───[seg]───┘
#                              [mgmt] ── 192.168.77.2, where the exports go and are recorded

# Each lab has its own namespaces "gd<pid>-<lab>-<host>", so that several can run at the same time.
ns() { echo "gd$$-$lab-$1"; }
in_ns() { local host=$1; shift; ip netns exec "$(ns "$host")" "$@"; }

# Runs a command on a host with the lab's accounts and resolver in place of the machine's.
on() {
  local host=$1; shift
  ip netns exec "$(ns "$host")" bash -c '
    mount --bind "$1/resolv.conf" /etc/resolv.conf && mount --bind "$1/passwd" /etc/passwd &&
    mount --bind "$1/shadow" /etc/shadow && mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/home" /home &&
    shift && exec "$@"' lab "$tmp/site" "$@"
}

spawn() { # spawn HOST COMMAND… : a service of the lab, ended by lab_down
  local host=$1; shift
  on "$host" "$@" >>"$tmp/$lab.log" 2>&1 </dev/null &
}

wait_port() { # wait_port HOST ADDRESS PORT
  local i
  for i in $(seq 100); do
    in_ns "$1" bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null && return 0
    sleep 0.1
  done
  echo "record: nothing listens on $2:$3 in $lab (see $tmp/$lab.log)" >&2
  return 1
}

# Accounts, keys, pages and certificates, made once for all labs of this run.
make_site() {
  local site=$tmp/site name
  mkdir -p "$site"/{home/analyst,www,tls,keys}
  printf 'nameserver 10.20.0.53\noptions timeout:2 attempts:2\n' >"$site/resolv.conf"
  printf '127.0.0.1 localhost\n' >"$site/hosts"
  grep -v '^analyst:' /etc/passwd >"$site/passwd"
  printf 'analyst:x:4242:4242::/home/analyst:/bin/bash\n' >>"$site/passwd"
  grep -Ev '^(analyst|root):' /etc/shadow >"$site/shadow"
  printf 'root:*:19000:0:99999:7:::\nanalyst:%s:19000:0:99999:7:::\n' "$(openssl passwd -6 "$password")" >>"$site/shadow"
  chmod 640 "$site/shadow"
  ssh-keygen -q -t ed25519 -N '' -f "$site/keys/host"
  ssh-keygen -q -t ed25519 -N '' -f "$site/keys/admin"
  cp "$site/keys/admin.pub" "$site/keys/authorized"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj /CN=example.com \
    -keyout "$site/tls/key.pem" -out "$site/tls/cert.pem" 2>/dev/null
  for name in 1 2 5 9 14 22 31 47 64 90 130 180 260; do
    head -c "$((name * 1000 + RANDOM % 900))" /dev/urandom >"$site/www/object$name"
  done
  head -c 330 /dev/urandom | base64 -w0 | head -c 330 >"$site/www/checkin"
  head -c 2000000 /dev/urandom >"$site/home/analyst/report.bin"
  head -c 300000 /dev/urandom >"$site/home/analyst/notes.bin"
  chown -R 4242:4242 "$site/home/analyst"
  chmod 755 "$tmp" "$site" "$site"/{www,home}
}

host() { # host NAME BRIDGE ADDRESS… : a machine; the first IPv4 and IPv6 address decide its gateways
  local name=$1 bridge=$2 address n
  shift 2
  n=$(ns "$name")
  ip netns add "$n"
  ip -n "$(ns router)" link add "v-$name" type veth peer name eth0 netns "$n"
  ip netns exec "$n" sysctl -qw net.ipv6.conf.all.router_solicitations=0 net.ipv6.conf.eth0.accept_ra=0
  plain_frames router "v-$name"
  plain_frames "$name" eth0
  ip -n "$(ns router)" link set "v-$name" master "$bridge" up
  ip -n "$n" link set lo up
  for address in "$@"; do
    case $address in *:*) ip -n "$n" address add "$address" dev eth0 nodad ;; *) ip -n "$n" address add "$address" dev eth0 ;; esac
  done
  ip -n "$n" link set eth0 up
  case $bridge in
    lan) ip -n "$n" route add default via 10.20.0.1; ip -n "$n" -6 route add default via fd20::1 2>/dev/null || true ;;
    wan)
      case $1 in 198.*) ip -n "$n" route add default via 198.51.100.1 ;; *) ip -n "$n" route add default via 203.0.113.1 ;; esac
      ip -n "$n" -6 route add default via 2001:db8::1 2>/dev/null || true ;;
  esac
}

# Frames as they are on a wire: no segmentation or checksum offload between the namespaces, unless a scenario wants it.
plain_frames() {
  [ "${offload:-no}" != yes ] || return 0
  in_ns "$1" ethtool -K "$2" tso off gso off gro off tx off rx off >/dev/null 2>&1 || true
}

lab_up() {
  local r
  r=$(ns router)
  ip netns add "$r"
  ip -n "$r" link set lo up
  ip netns exec "$r" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 \
    net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
  ip -n "$r" link add lan type bridge mcast_snooping 0
  ip -n "$r" link add wan type bridge mcast_snooping 0
  ip -n "$r" address add 10.20.0.1/24 dev lan
  ip -n "$r" address add fd20::1/64 dev lan nodad
  ip -n "$r" address add 198.51.100.1/24 dev wan
  ip -n "$r" address add 203.0.113.1/24 dev wan
  ip -n "$r" address add 2001:db8::1/64 dev wan nodad
  ip -n "$r" link set lan up
  ip -n "$r" link set wan up
  plain_frames router lan
  # The collector does not exist: its address is a static neighbour, so exports are sent and nothing answers them.
  ip netns add "$(ns sink)"
  ip -n "$r" link add mgmt type veth peer name eth0 netns "$(ns sink)"
  ip -n "$r" address add 192.168.77.1/24 dev mgmt
  plain_frames router mgmt
  ip -n "$r" link set mgmt up
  ip -n "$(ns sink)" link set eth0 up
  ip -n "$r" neigh replace 192.168.77.2 lladdr 02:00:5e:00:77:02 dev mgmt nud permanent
}

lab_down() {
  local n
  for n in $(ip netns list | awk -v p="gd$$-${1:-}" 'index($1, p) == 1 {print $1}'); do
    # Only processes inside our own namespaces are ended, by their ids.
    ip netns pids "$n" 2>/dev/null | xargs -r kill 2>/dev/null || true
  done
  sleep 0.3
  for n in $(ip netns list | awk -v p="gd$$-${1:-}" 'index($1, p) == 1 {print $1}'); do
    ip netns pids "$n" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del "$n" || true
  done
}

# A second inside segment behind the router: 32 addresses answer, the other 224 are silent.
routed_segment() {
  local n
  n=$(ns segment)
  ip netns add "$n"
  ip -n "$(ns router)" link add seg type veth peer name eth0 netns "$n"
  plain_frames router seg
  plain_frames segment eth0
  ip -n "$(ns router)" address add 10.20.254.1/30 dev seg
  ip -n "$(ns router)" link set seg up
  ip -n "$n" link set lo up
  ip -n "$n" address add 10.20.254.2/30 dev eth0
  ip -n "$n" link set eth0 up
  ip -n "$n" route add default via 10.20.254.1
  ip -n "$n" route add local 10.20.1.0/27 dev lo
  ip -n "$n" route add blackhole 10.20.1.0/24
  ip -n "$(ns router)" route add 10.20.1.0/24 via 10.20.254.2
}

# ---- services -------------------------------------------------------------------------------------------------------

serve_ssh() { # serve_ssh HOST
  mkdir -p /run/sshd
  cat >"$tmp/$lab.sshd" <<EOF
Port 22
HostKey $tmp/site/keys/host
AuthorizedKeysFile $tmp/site/keys/authorized
StrictModes no
UsePAM no
PermitRootLogin no
PasswordAuthentication yes
MaxStartups 100
MaxAuthTries 4
PidFile none
Subsystem sftp internal-sftp
EOF
  spawn "$1" /usr/sbin/sshd -D -e -f "$tmp/$lab.sshd"
}

serve_web() { # serve_web HOST : pages on 80 and 443, any path under /upload/ and /api/ accepts a body
  local d=$tmp/$lab-nginx-$1
  mkdir -p "$d"/{body,proxy,fastcgi,uwsgi,scgi}
  chmod -R 777 "$d"
  cat >"$d/nginx.conf" <<EOF
daemon off;
worker_processes 1;
pid $d/pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $d/body;
  proxy_temp_path $d/proxy;
  fastcgi_temp_path $d/fastcgi;
  uwsgi_temp_path $d/uwsgi;
  scgi_temp_path $d/scgi;
  client_max_body_size 200m;
  keepalive_timeout 15;
  server {
    listen 80 default_server;
    listen [::]:80 default_server;
    listen 443 ssl default_server;
    listen [::]:443 ssl default_server;
    ssl_certificate $tmp/site/tls/cert.pem;
    ssl_certificate_key $tmp/site/tls/key.pem;
    root $tmp/site/www;
    location ~ ^/(upload|api)/ { proxy_pass http://127.0.0.1:8081; }
    location / { try_files \$uri /object14; }
  }
  server {
    listen 127.0.0.1:8081;
    root $tmp/site/www;
    error_page 404 405 =200 /checkin;
  }
}
EOF
  spawn "$1" nginx -p "$d" -c "$d/nginx.conf"
}

# Authoritative names outside, and the inside resolver that everybody asks.
serve_dns() {
  local names=() i
  for i in $(seq 10 29); do names+=("--address=/www$i.example.com/203.0.113.$i" "--address=/cdn$i.example.net/198.51.100.$i"); done
  spawn internet dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=203.0.113.53 --bind-interfaces \
    --user=root --pid-file= --local-ttl=20 "${names[@]}" --address=/www.example.org/203.0.113.40 \
    --address=/www.example.org/2001:db8::40 --address=/updates.example.org/203.0.113.41 \
    --address=/telemetry.example.net/203.0.113.99 --address=/files.example.org/198.51.100.200 \
    --address=/time.example.org/203.0.113.123 --local=/example.com/ --local=/example.net/ --local=/example.org/
  spawn resolver dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=10.20.0.53 --bind-interfaces \
    --user=root --pid-file= --cache-size=1000 --edns-packet-max=1232 --server=203.0.113.53 \
    --server=/t.example.net/203.0.113.54
}

serve_clear_text() { # serve_clear_text HOST : telnet and FTP, as an old appliance would offer them
  printf 'telnet stream tcp nowait root /usr/sbin/telnetd telnetd -h\n' >"$tmp/$lab.inetd"
  spawn "$1" /usr/sbin/inetutils-inetd -d --pidfile="$tmp/$lab.inetd.pid" "$tmp/$lab.inetd"
  cat >"$tmp/$lab.vsftpd" <<EOF
listen=YES
background=NO
local_enable=YES
write_enable=YES
anonymous_enable=NO
pam_service_name=vsftpd
seccomp_sandbox=NO
EOF
  mkdir -p /var/run/vsftpd/empty
  chown root "$tmp/$lab.vsftpd"
  spawn "$1" vsftpd "$tmp/$lab.vsftpd"
}

serve_time() { # serve_time HOST : answers NTP and never sets a clock (-x)
  printf 'local stratum 3\nallow all\ncmdport 0\npidfile %s\nbindcmdaddress /\n' "$tmp/$lab.chrony.pid" >"$tmp/$lab.chrony"
  spawn "$1" chronyd -d -x -u root -f "$tmp/$lab.chrony"
}
