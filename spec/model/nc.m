-- Two nodes that send NCR to each other (HSL 5.2 D6, 5.10; requirements HSL-NCR-005 to HSL-NCR-012). Each node has
-- all the roles: its programs ring doorbells, interrupt, use the upper tester and unmap; its device takes doorbells
-- behind translations and page requests; its driver masks interrupts. What is searched for is deadlock, and an
-- interrupt that passes an NcWrite.

const
  CREDITS: 4; -- NCR credits of each direction
  WRITES: 2;  -- doorbells of a node, on one stream with its interrupts
  INTRS: 1;   -- interrupts of a node, after which its wave needs a translation
  FAULTS: 0;  -- times that the translation of a doorbell faults: PageReq and PageRsp
  MGMTS: 0;   -- records of the upper tester: each is done by an NcRead in the other direction
  INVS: 0;    -- TransInv of a node's software; 1 also lets the wave write by a translated NcWrite
  EVICTS: 0;  -- nodes whose page service completes a TransInv before it sends a PageRsp

type
  Node: scalarset(2);
  Place: 0..CREDITS-1;
  Unsent: 0..3;
  Writes: 0..WRITES+INVS;
  -- NcWrite, the same by a translated address, NcRead of the upper tester, Intr; TransReq of the front end and of the
  -- wave, PageReq, PageRsp, TransInv of software and of the page service, MgmtMsg.
  Kind: enum { w_plain, w_translated, n_read, n_intr, t_front, t_wave, page_req, page_rsp, i_software, i_service, mgmt };
  Message: record kind: Kind; before: Writes; end; -- before: of an Intr, the NcWrites of its stream that come before it
  Front: enum { fe_idle, fe_asks, fe_fault, fe_page, fe_ready };
  Wave: enum { wv_intr, wv_asks, wv_writes, wv_done };
  Service: enum { sv_idle, sv_evict, sv_waits, sv_answers };
  Tester: enum { ut_idle, ut_begins, ut_reads };

var
  buf: array[Node] of array[Place] of Message;      -- sent by a node and not taken: each holds a credit; in order
  stream: array[Node] of array[Unsent] of Message;  -- NcWrite, NcRead and Intr that a node has not sent, in order
  wants: array[Node] of array[Kind] of boolean;     -- what else it has not sent
  writes: array[Node] of Writes;                    -- NcWrites begun
  taken: array[Node] of Writes;                     -- of them, completed
  rings: array[Node] of 0..WRITES;                  -- doorbells to begin
  intrs: array[Node] of 0..INTRS;                   -- interrupts to begin
  mgmts: array[Node] of 0..MGMTS;                   -- records to begin
  open: array[Node] of 0..MGMTS;                    -- records sent and not completed
  invs: array[Node] of 0..INVS;                     -- TransInv to begin
  faults: array[Node] of 0..FAULTS;
  evicts: array[Node] of boolean;
  pending: array[Node] of boolean;                  -- the slot of the vector
  flag: array[Node] of boolean;                     -- the word in memory for which the other node's driver waits
  front: array[Node] of Front;
  wave: array[Node] of Wave;
  holds: array[Node] of boolean;                    -- a translated NcWrite is under way
  service: array[Node] of Service;                  -- the slot of a PageReq
  tester: array[Node] of Tester;                    -- the slot of a record
  inv: array[Node] of Kind;                         -- the slot of a TransInv

-- Words -----------------------------------------------------------------------------------------------------------

function other(n: Node): Node; begin for o: Node do if o != n then return o; endif; endfor; end;
function ordinary(k: Kind): boolean; begin
  return k = w_plain | k = w_translated | k = n_read | k = mgmt;
end;
function in_stream(k: Kind): boolean; begin -- an order class of its own has the rest
  return k = w_plain | k = w_translated | k = n_read | k = n_intr;
end;
function credits(n: Node): 0..CREDITS;
var free: 0..CREDITS;
begin
  free := 0;
  for p: Place do if isundefined(buf[n][p].kind) then free := free + 1; endif; endfor;
  return free;
end;
function may_send(n: Node; k: Kind): boolean; begin
  return credits(n) > 1 | !ordinary(k) & credits(n) = 1; -- HSL-NCR-005
end;
function undone(n: Node): boolean; begin -- an NCR of the stream is sent and not completed
  return exists p: Place do !isundefined(buf[n][p].kind) & buf[n][p].kind != n_intr & in_stream(buf[n][p].kind) endexists;
end;
function held(n: Node): boolean; begin -- HSL-NCR-006: of the oldest that is not sent
  return stream[n][0].kind = n_intr & undone(n);
end;
function bars(n: Node): boolean; begin return false; end; -- what is held bars no other message
function uses(n: Node): boolean; begin -- HSL-ATS-005: an access of this node uses a translation
  return front[n] = fe_ready | holds[n];
end;
function may_take(n: Node): boolean; begin -- HSL-NCR-010: what else the completion of an NcWrite waits for
  return true;
end;
procedure begin_(n: Node; k: Kind); begin
  if k = w_plain | k = w_translated then writes[n] := writes[n] + 1; endif;
  for u: Unsent do
    if isundefined(stream[n][u].kind) then
      stream[n][u].kind := k;
      if k = n_intr then stream[n][u].before := writes[n]; endif;
      return;
    endif;
  endfor;
  assert "the unsent have a place" false;
end;
procedure deliver(n: Node; m: Message); begin
  for p: Place do
    if isundefined(buf[n][p].kind) then buf[n][p] := m; return; endif;
  endfor;
end;
procedure free(n: Node; p: Place); begin -- the credit is back
  for q: Place do
    if q >= p then
      if q = CREDITS-1 then undefine buf[n][q]; else buf[n][q] := buf[n][q+1]; endif;
    endif;
  endfor;
end;
function unsent(n: Node; k: Kind): boolean; begin
  return exists u: Unsent do !isundefined(stream[n][u].kind) & stream[n][u].kind = k endexists;
end;
function oldest(n: Node; p: Place): boolean; begin -- of its stream, at the receiver (O4)
  return forall q: Place do q >= p | !in_stream(buf[n][q].kind) | buf[n][q].kind = n_intr endforall;
end;

-- Senders ---------------------------------------------------------------------------------------------------------

ruleset n: Node do
  rule "send the oldest of the stream" !isundefined(stream[n][0].kind) & !held(n) & may_send(n, stream[n][0].kind) ==> begin
    deliver(n, stream[n][0]);
    for u: Unsent do if u = 3 then undefine stream[n][u]; else stream[n][u] := stream[n][u+1]; endif; endfor;
  end;
  ruleset k: Kind do
    rule "send another" wants[n][k] & may_send(n, k) & !bars(n) ==>
    var m: Message;
    begin
      m.kind := k;
      deliver(n, m);
      wants[n][k] := false;
    end;
  endruleset;

  -- Programs
  rule "ring" rings[n] > 0 & !unsent(n, w_plain) ==> begin
    rings[n] := rings[n] - 1;
    begin_(n, w_plain);
  end;
  rule "interrupt" intrs[n] > 0 & !unsent(n, n_intr) ==> begin
    intrs[n] := intrs[n] - 1;
    begin_(n, n_intr);
  end;
  rule "the wave needs a translation" wave[n] = wv_intr & intrs[n] = 0 ==> begin
    wave[n] := wv_asks;
    wants[n][t_wave] := true;
  end;
  rule "the driver takes the interrupt, once the wave has written the word" pending[n] & flag[other(n)] ==> begin
    pending[n] := false;
  end;
  rule "ask the upper tester" mgmts[n] > 0 & !wants[n][mgmt] ==> begin
    mgmts[n] := mgmts[n] - 1;
    open[n] := open[n] + 1;
    wants[n][mgmt] := true;
  end;
  rule "unmap" invs[n] > 0 ==> begin
    invs[n] := invs[n] - 1;
    wants[n][i_software] := true;
  end;
endruleset;

-- Receivers: node n sent what node o = other(n) takes; completions arrive at once -------------------------------------

ruleset n: Node; p: Place do
  rule "Intr" !isundefined(buf[n][p].kind) & buf[n][p].kind = n_intr ==> begin -- HSL-NCR-007, HSL-NCR-008
    assert "an interrupt is seen after the NcWrites before it" buf[n][p].before <= taken[n];
    pending[other(n)] := true;
    free(n, p);
  end;
  rule "the front end fetches a doorbell" !isundefined(buf[n][p].kind) & oldest(n, p) & front[other(n)] = fe_idle
      & (buf[n][p].kind = w_plain | buf[n][p].kind = w_translated) ==> begin
    front[other(n)] := fe_asks;
    wants[other(n)][t_front] := true;
  end;
  rule "the front end takes a doorbell" !isundefined(buf[n][p].kind) & oldest(n, p) & front[other(n)] = fe_ready
      & (buf[n][p].kind = w_plain | buf[n][p].kind = w_translated) & may_take(other(n)) ==> begin
    front[other(n)] := fe_idle;
    taken[n] := taken[n] + 1;
    if buf[n][p].kind = w_translated then holds[n] := false; wave[n] := wv_done; endif;
    free(n, p);
  end;
  rule "NcRead" !isundefined(buf[n][p].kind) & buf[n][p].kind = n_read & oldest(n, p) ==> begin
    tester[n] := ut_idle;
    open[other(n)] := open[other(n)] - 1;
    free(n, p);
  end;
  rule "TransReq of a doorbell" !isundefined(buf[n][p].kind) & buf[n][p].kind = t_front ==> begin
    front[n] := fe_ready;
    free(n, p);
  end;
  rule "TransReq faults" !isundefined(buf[n][p].kind) & buf[n][p].kind = t_front & faults[n] > 0 ==> begin
    faults[n] := faults[n] - 1;
    front[n] := fe_fault;
    wants[n][page_req] := true;
    free(n, p);
  end;
  rule "TransReq of the wave" !isundefined(buf[n][p].kind) & buf[n][p].kind = t_wave ==> begin
    flag[n] := true;
    if INVS > 0 then wave[n] := wv_writes; holds[n] := true; begin_(n, w_translated); else wave[n] := wv_done; endif;
    free(n, p);
  end;
  rule "PageReq" !isundefined(buf[n][p].kind) & buf[n][p].kind = page_req ==> begin
    if service[other(n)] = sv_idle then
      front[n] := fe_page;
      service[other(n)] := sv_evict;
    else
      wants[n][page_req] := true; -- BUSY
    endif;
    free(n, p);
  end;
  rule "PageRsp" !isundefined(buf[n][p].kind) & buf[n][p].kind = page_rsp ==> begin
    front[other(n)] := fe_asks;
    wants[other(n)][t_front] := true;
    free(n, p);
  end;
  rule "TransInv" !isundefined(buf[n][p].kind) & (buf[n][p].kind = i_software | buf[n][p].kind = i_service) ==> begin
    if isundefined(inv[other(n)]) then
      inv[other(n)] := buf[n][p].kind;
    else
      wants[n][buf[n][p].kind] := true; -- BUSY
    endif;
    free(n, p);
  end;
  rule "MgmtMsg" !isundefined(buf[n][p].kind) & buf[n][p].kind = mgmt ==> begin
    if tester[other(n)] = ut_idle then
      tester[other(n)] := ut_begins;
    else
      wants[n][mgmt] := true; -- BUSY
    endif;
    free(n, p);
  end;
endruleset;

ruleset n: Node do
  rule "the upper tester reads" tester[n] = ut_begins ==> begin
    tester[n] := ut_reads;
    begin_(n, n_read);
  end;
  rule "TransInv is completed" !isundefined(inv[n]) & !uses(n) ==> begin
    if inv[n] = i_service then service[other(n)] := sv_answers; endif;
    undefine inv[n];
  end;
  rule "the page service serves" service[n] = sv_evict ==> begin
    if evicts[n] then
      service[n] := sv_waits;
      wants[n][i_service] := true;
    else
      service[n] := sv_answers;
    endif;
  end;
  rule "the page service answers" service[n] = sv_answers ==> begin
    service[n] := sv_idle;
    wants[n][page_rsp] := true;
  end;
endruleset;

ruleset first: Node do
  startstate begin
    undefine buf; undefine stream; undefine inv;
    for n: Node do
      for k: Kind do wants[n][k] := false; endfor;
      writes[n] := 0; taken[n] := 0; open[n] := 0;
      rings[n] := WRITES; intrs[n] := INTRS; mgmts[n] := MGMTS; invs[n] := INVS;
      evicts[n] := EVICTS = 2 | EVICTS = 1 & n = first;
      -- HSL-NCR-010: the page service of `first` waits for TransInv, so its own NcWrites must not need a page.
      if evicts[n] & EVICTS = 1 then faults[n] := 0; else faults[n] := FAULTS; endif;
      pending[n] := false; flag[n] := false; holds[n] := false;
      front[n] := fe_idle; wave[n] := wv_intr; service[n] := sv_idle; tester[n] := ut_idle;
    endfor;
  end;
endruleset;

-- From every state this is reachable.
liveness "every program ends"
  forall n: Node do
    rings[n] = 0 & intrs[n] = 0 & mgmts[n] = 0 & invs[n] = 0 & open[n] = 0 & taken[n] = writes[n] & wave[n] = wv_done
    & !pending[n] & front[n] = fe_idle & service[n] = sv_idle & isundefined(inv[n]) & credits(n) = CREDITS
    & isundefined(stream[n][0].kind) & forall k: Kind do !wants[n][k] endforall
  endforall;
