import { packetContract } from './firewall-packets.ts';

packetContract('iptables');
