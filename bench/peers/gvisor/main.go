// Serves four ports with gVisor's netstack at a TUN that is standard input: discard, chargen, echo, and one that says one octet.
//
// The benchmark builds and starts it; it ends when it is killed.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/bufferv2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/rawfile"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	tun = 0
	nic = 1
	mtu = 1500
	// Octets of the buffers that applications read to and write from.
	applicationBuffer = 256 << 10
)

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage: gvisor MODE ADDRESS DISCARD CHARGEN ECHO ONE-OCTET < TUN")
		os.Exit(2)
	}
	if err := run(os.Args[1] == "offload", net.ParseIP(os.Args[2]).To4(), os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(offload bool, address net.IP, ports []string) error {
	var link stack.LinkEndpoint
	if offload {
		link = &vnetLink{}
	} else {
		var err error
		if link, err = fdbased.New(&fdbased.Options{FDs: []int{tun}, MTU: mtu}); err != nil {
			return err
		}
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return fmt.Errorf("SACK: %v", err)
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return fmt.Errorf("interface: %v", err)
	}
	own := tcpip.Address(address)
	protocolAddress := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: own.WithPrefix()}
	if err := s.AddProtocolAddress(nic, protocolAddress, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	for i, serve := range []func(net.Conn){discard, chargen, echo, oneOctet} {
		port, err := strconv.ParseUint(ports[i], 10, 16)
		if err != nil {
			return err
		}
		at := tcpip.FullAddress{NIC: nic, Addr: own, Port: uint16(port)}
		listener, err := gonet.ListenTCP(s, at, ipv4.ProtocolNumber)
		if err != nil {
			return err
		}
		go accept(listener, serve)
	}
	fmt.Println("ready")
	select {}
}

func accept(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			serve(conn)
			conn.Close()
		}()
	}
}

func discard(conn net.Conn) {
	buffer := make([]byte, applicationBuffer)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func chargen(conn net.Conn) {
	data := make([]byte, applicationBuffer)
	for {
		if _, err := conn.Write(data); err != nil {
			return
		}
	}
}

func echo(conn net.Conn) {
	buffer := make([]byte, 4096)
	for {
		count, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func oneOctet(conn net.Conn) {
	// How a client leaves is the client's business.
	_, _ = conn.Write([]byte("x"))
}

const (
	vnetLen   = 10
	needsCsum = 1
	gsoTCPv4  = 1
	gsoMax    = 65000
)

// vnetLink is a TUN with IFF_VNET_HDR: packets of up to 64 KiB, whose checksums are trusted, and left to the kernel where it cuts.
type vnetLink struct {
	dispatcher stack.NetworkDispatcher
}

func (*vnetLink) MTU() uint32                             { return mtu }
func (*vnetLink) MaxHeaderLength() uint16                 { return 0 }
func (*vnetLink) LinkAddress() tcpip.LinkAddress          { return "" }
func (*vnetLink) Wait()                                   {}
func (*vnetLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (*vnetLink) AddHeader(stack.PacketBufferPtr)         {}
func (*vnetLink) GSOMaxSize() uint32                      { return gsoMax }
func (*vnetLink) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }
func (l *vnetLink) IsAttached() bool                      { return l.dispatcher != nil }
func (*vnetLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

func (l *vnetLink) Attach(dispatcher stack.NetworkDispatcher) {
	begins := l.dispatcher == nil && dispatcher != nil
	l.dispatcher = dispatcher
	if begins {
		go l.read()
	}
}

// read delivers what arrives. A packet that needs no offload fits into the first of two views, so that little memory goes with it.
func (l *vnetLink) read() {
	never, err := unix.Eventfd(0, 0)
	if err != nil {
		panic(err)
	}
	sizes := [2]int{2048, 1 << 16}
	var views [2]*bufferv2.View
	var iovecs [2]unix.Iovec
	for {
		for i := range views {
			if views[i] == nil {
				views[i] = bufferv2.NewViewSize(sizes[i])
				iovecs[i] = unix.Iovec{Base: views[i].BasePtr()}
				iovecs[i].SetLen(sizes[i])
			}
		}
		count, err := rawfile.BlockingReadvUntilStopped(never, tun, iovecs[:])
		if err != nil {
			return
		}
		var payload bufferv2.Buffer
		for i := 0; i < len(views) && count > 0; i++ {
			part := count
			if part > sizes[i] {
				part = sizes[i]
			}
			views[i].CapLength(part)
			if err := payload.Append(views[i]); err != nil {
				panic(err)
			}
			views[i] = nil
			count -= part
		}
		payload.TrimFront(vnetLen)
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: payload})
		l.dispatcher.DeliverNetworkPacket(header.IPv4ProtocolNumber, packet)
		packet.DecRef()
	}
}

func (l *vnetLink) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	written := 0
	for _, packet := range packets.AsSlice() {
		iovecs := make([]unix.Iovec, 0, 16)
		iovecs = rawfile.AppendIovecFromBytes(iovecs, vnetHeader(packet), rawfile.MaxIovs)
		for _, view := range packet.AsSlices() {
			iovecs = rawfile.AppendIovecFromBytes(iovecs, view, rawfile.MaxIovs)
		}
		if err := rawfile.NonBlockingWriteIovec(tun, iovecs); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

// vnetHeader is struct virtio_net_hdr, in the order of octets of the machines this runs on.
func vnetHeader(packet stack.PacketBufferPtr) []byte {
	var head [vnetLen]byte
	gso := packet.GSOOptions
	if gso.Type == stack.GSONone {
		return head[:]
	}
	put := func(at int, value uint16) { head[at], head[at+1] = byte(value), byte(value>>8) }
	put(2, uint16(packet.HeaderSize()))
	if gso.NeedsCsum {
		head[0] = needsCsum
		put(6, gso.L3HdrLen)
		put(8, gso.CsumOffset)
	}
	if packet.Data().Size() > int(gso.MSS) {
		head[1] = gsoTCPv4
		put(4, gso.MSS)
	}
	return head[:]
}
